"""What each command does, as plain functions: it takes settings, prints nothing, and returns a value.

``making`` leads from images to a checkpoint, and from that to files; ``proving`` says whether files are what they have
to be, ``measuring`` says what they cost, ``diagnosing`` what is wrong, and ``choosing`` does all of it for many
networks and settings, to say which of them suits a purpose. Each knows those before it and none behind it.

| command | function | gives |
|---|---|---|
| train | ``edgekit.pipeline.making.train.train`` | ``TrainResult`` |
| prune | ``edgekit.pipeline.making.prune.prune`` | ``Pruned`` |
| search | ``edgekit.pipeline.making.search.search`` | ``SearchResult`` |
| ensemble | ``edgekit.pipeline.making.ensemble.combine`` | ``Combined`` |
| export | ``edgekit.pipeline.making.export.export`` | ``ExportResult`` |
| sensitivity | ``edgekit.pipeline.making.sensitivity.sensitivity`` | ``SensitivityResult`` |
| finetune | ``edgekit.pipeline.making.finetune.finetune`` | ``FinetuneResult`` |
| check | ``edgekit.pipeline.making.check.check`` | ``CheckResult`` |
| compile | ``edgekit.pipeline.making.compile.compile`` | ``CompileResult`` |
| verify | ``edgekit.pipeline.proving.verify.verify`` | ``VerifyResult`` |
| predict | ``edgekit.pipeline.proving.predicting.predict`` | ``Prediction`` |
| baseline | ``edgekit.pipeline.proving.baseline.keep`` | ``BaselineResult`` |
| diff | ``edgekit.pipeline.proving.diff.diff`` | ``DiffResult`` |
| inspect | ``edgekit.pipeline.proving.inspect.inspect`` | ``Inspected`` |
| reproduce | ``edgekit.pipeline.proving.reproduce.reproduce`` | ``Reproduction`` |
| emulate | ``edgekit.pipeline.proving.emulation.set_up`` | ``EmulatedMachine`` |
| bench | ``edgekit.pipeline.measuring.bench.bench`` | ``BenchResult`` |
| sweep | ``edgekit.pipeline.choosing.sweep.sweep`` | ``SweepResult`` |
| analyze | ``edgekit.pipeline.choosing.analyze.analyze`` | ``AnalyzeResult`` |
| advise | ``edgekit.pipeline.choosing.advise.advise`` | ``AdviceResult`` |
| bundle | ``edgekit.pipeline.measuring.bundle.bundle`` | ``Bundle`` |
| profile | ``edgekit.pipeline.measuring.profile.profile`` | ``ProfileResult`` |
| diagnose | ``edgekit.pipeline.diagnosing.diagnose.diagnose`` | ``DiagnoseResult`` |
| doctor | ``edgekit.pipeline.measuring.doctor.examine`` | ``Diagnosis`` |

Where the command line ends with a sentence, they raise ``edgekit.errors.EdgekitError``. ``edgekit.export`` and its
neighbours wrap them for Python: they take a module in memory, a DataLoader, and the flags' names as arguments.
"""
