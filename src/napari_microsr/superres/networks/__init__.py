"""Networks: images in [0, 1] of shape (N, C, H, W) in, of shape (N, C, f*H, f*W) out."""
