"""Single molecules in a stack of frames: localised, filtered, drift-corrected and rendered."""
