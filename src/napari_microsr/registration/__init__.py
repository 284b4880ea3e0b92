"""Fields taken at high magnification, found on the overview of the slide and laid over it."""
