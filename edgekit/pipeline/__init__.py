"""What each command does, as plain functions: the Python API.

| command | function | gives |
|---|---|---|
| export | ``edgekit.pipeline.making.export.export`` | ``ExportResult`` |
| sensitivity | ``edgekit.pipeline.making.sensitivity.sensitivity`` | ``SensitivityResult`` |
| finetune | ``edgekit.pipeline.making.finetune.finetune`` | ``FinetuneResult`` |
| verify | ``edgekit.pipeline.proving.verify.verify`` | ``VerifyResult`` |
| bench | ``edgekit.pipeline.measuring.bench.bench`` | ``BenchResult`` |
| baseline | ``edgekit.pipeline.proving.baseline.keep`` | ``BaselineResult`` |
| diff | ``edgekit.pipeline.proving.diff.diff`` | ``DiffResult`` |
| inspect | ``edgekit.pipeline.proving.inspect.inspect`` | ``Inspected`` |
| reproduce | ``edgekit.pipeline.proving.reproduce.reproduce`` | ``Reproduction`` |
| emulate | ``edgekit.pipeline.proving.emulation.set_up`` | ``EmulatedMachine`` |
| doctor | ``edgekit.pipeline.measuring.doctor.examine`` | ``Diagnosis`` |

They take the settings that edgekit.toml and flags become, print nothing, and raise ``edgekit.errors.EdgekitError``
where the command line ends with a sentence::

    from pathlib import Path

    from edgekit import config
    from edgekit.pipeline.making.export import export
    from edgekit.pipeline.proving.verify import verify

    settings = config.load(Path("edgekit.toml"), {"export": {"precisions": ["int8"], "targets": ["onnx", "tflite"]}})
    files = export(settings).files
    assert verify([file.path for file in files], settings).passed
"""
