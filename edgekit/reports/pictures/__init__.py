"""Pictures as SVG: one file each, which needs nothing else, in colours for light and dark surroundings."""
