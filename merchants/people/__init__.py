"""Staff: who may be invited by whom, invitations, and the acts about a person that need a second one."""
