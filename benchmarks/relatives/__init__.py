"""Networks that people deploy beside MobileNets, in plain torch, and what edgekit makes of them.

    python -m edgekit.benchmarks.relatives [NAME ...] [--small] [--families]

Organization:
    networks.py    the networks, from the papers that their docstrings name
    recognizer.py  one that PaddlePaddle's exporter wrote: there is no module of it, only an ONNX file
    zoo.py         all of them by name, and edgekit's own families, with weights drawn by lot and statistics from images
    ways.py        from a network to files, as a module and as an ONNX file
"""
