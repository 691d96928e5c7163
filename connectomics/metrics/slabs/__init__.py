"""Objects and scores of volumes that come slab by slab: memory grows with the plane and the objects, not the depth."""
