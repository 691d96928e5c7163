"""Floor 3: how far each section of a stack is displaced from its neighbours, and the stack with that undone."""
