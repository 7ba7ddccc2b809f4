"""Where each image lies: pairs of images, and all pairs solved together."""
