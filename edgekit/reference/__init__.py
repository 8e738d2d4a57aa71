"""The oracle: numpy interpreters of a Graph, exact for integers and float64 for float."""
