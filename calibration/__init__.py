"""From images to integers: images, histograms, ranges, equalization, bias correction, and the assignment of scales."""
