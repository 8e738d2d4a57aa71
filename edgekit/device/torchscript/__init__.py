"""TorchScript files, judged by their bytes before torch sees them: opening one never runs what a stranger wrote.

``torch.jit.load`` is no reader of data. A class that a file brings may have a ``__setstate__``, which runs while the
file is loaded, and operators reach beyond memory: ``aten::save`` writes any file, ``aten::from_file`` makes one and
maps it, ``prim::Print`` and ``aten::warn`` write to the terminal, ``prim::rpc_async`` calls other machines, and the
classes that torch registers (``torch.classes``) open files and sockets. A list of what is dangerous would never be
complete, so there is a list of what edgekit writes, and everything else is refused.

Organization:
    archive.py  the names in an archive; what was checked is loaded, and nothing else
    pickles.py  the values of the attributes, read without unpickling
    program.py  the grammar of the program
"""

from edgekit.device.torchscript.archive import BYTECODE, METADATA, PROGRAM, load, read

__all__ = ["BYTECODE", "METADATA", "PROGRAM", "load", "read"]
