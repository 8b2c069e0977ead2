"""What every scene of every channel has to do, found by discovery: nobody writes these tests for a new one."""
