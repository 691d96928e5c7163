"""The two sides of a synapse: synapse k has the id 2k - 1 on the pre-synaptic side and 2k on the post-synaptic one."""

PRE = 1
"""Side of the odd ids: the pre-synaptic one."""

POST = 2
"""Side of the even ids: the post-synaptic one."""
