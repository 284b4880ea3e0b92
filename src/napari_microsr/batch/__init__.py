"""One task on many images: plates, folders, slides; and tasks that follow each other."""
