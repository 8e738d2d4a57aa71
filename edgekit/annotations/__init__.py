"""What lies beside images and says what they show: boxes of objects, and masks.

A mask is uint8, [H, W], class indices from 0, with 255 where nobody knows.

``reading.read(source, task)`` reads a place: it gives an ``Annotated`` with names and paths of images, names of
classes, and one target an image, ``Boxes`` or a mask of the upright image. ``ImageSource.annotated(task)`` of
``calibration.images`` gives the same of the images that it has, in its order, each target moved as preprocessing moves
its image. ``moving.moved`` moves one.
"""
