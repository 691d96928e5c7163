"""Floor 3: how far each section of a stack lies off its neighbours, and the stack with that undone."""
