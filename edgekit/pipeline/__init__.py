"""What each command does, as plain functions: the Python API.

| command | function | gives |
|---|---|---|
| export | ``edgekit.pipeline.export.export`` | ``ExportResult`` |
| sensitivity | ``edgekit.pipeline.sensitivity.sensitivity`` | ``SensitivityResult`` |
| finetune | ``edgekit.pipeline.finetune.finetune`` | ``FinetuneResult`` |
| verify | ``edgekit.pipeline.verify.verify`` | ``VerifyResult`` |
| bench | ``edgekit.pipeline.bench.bench`` | ``BenchResult`` |
| baseline | ``edgekit.pipeline.baseline.keep`` | ``BaselineResult`` |
| diff | ``edgekit.pipeline.diff.diff`` | ``DiffResult`` |
| inspect | ``edgekit.pipeline.inspect.inspect`` | ``Inspected`` |
| reproduce | ``edgekit.pipeline.reproduce.reproduce`` | ``Reproduction`` |
| emulate | ``edgekit.pipeline.emulation.set_up`` | ``EmulatedMachine`` |
| doctor | ``edgekit.pipeline.doctor.examine`` | ``Diagnosis`` |

They take the settings that edgekit.toml and flags become, print nothing, and raise ``edgekit.errors.EdgekitError``
where the command line ends with a sentence::

    from pathlib import Path

    from edgekit import config
    from edgekit.pipeline.export import export
    from edgekit.pipeline.verify import verify

    settings = config.load(Path("edgekit.toml"), {"export": {"precisions": ["int8"], "targets": ["onnx", "tflite"]}})
    files = export(settings).files
    assert verify([file.path for file in files], settings).passed
"""
