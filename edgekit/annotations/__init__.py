"""What lies beside images and says what they show: boxes of objects, and masks.

A mask is uint8, [H, W], class indices from 0, with 255 where nobody knows.
"""
