"""Time and tasks: the only home of raw asyncio primitives."""
