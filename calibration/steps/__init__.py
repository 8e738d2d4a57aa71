"""The steps of the recipe, one a file: what each finds, applies, tells and saves."""
