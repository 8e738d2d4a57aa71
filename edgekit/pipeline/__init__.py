"""What each command does, as plain functions: the Python API.

| command | function | gives |
|---|---|---|
| export | ``edgekit.pipeline.export.export`` | ``ExportResult`` |
| verify | ``edgekit.pipeline.verify.verify`` | ``VerifyResult`` |
| bench | ``edgekit.pipeline.bench.bench`` | ``BenchResult`` |
| inspect | ``edgekit.pipeline.inspect.inspect`` | ``Summary`` or ``IntegerModel`` |
| doctor | ``edgekit.pipeline.doctor.examine`` | ``Diagnosis`` |
"""
