"""edgekit against every other quantizer: the same float networks, the same images, each in its real runtime.

``python -m edgekit.benchmarks.peers --cache DIR`` runs what has no result yet and prints the tables. Every tool works
in an environment of its own, which is made in the cache, and gets the same float32 network, in its natural form, and
the same arrays of normalized images. Calibration sees images/calibration alone; images/validation only measures.

Organization:
    __main__.py      the command line: everything that is printed
    networks.py      what every contestant is given
    train.py         networks that are trained here
    cifar.py         what they are trained on
    contestants.py   who takes part, and how each makes its file
    environments.py  a virtual environment a tool
    running.py       a finished file in its real runtime
    scores.py        what logits are worth
    table.py         results in Markdown
    tools/           one file a tool, run in the tool's environment: it must not import edgekit
"""
