"""Floor 1: pictures of sections: grey values, outlines, arrows, probabilities."""
