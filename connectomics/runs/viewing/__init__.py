"""Results in Neuroglancer: what is shown, how it looks, and a copy that needs no process of ours."""
