"""Floor 2: pictures of sections: grey values, outlines, arrows, probabilities."""
