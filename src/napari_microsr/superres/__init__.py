"""Super-resolution and restoration of images of any size."""
