"""The door to the guests' network carries bytes both ways, tells an end, and goes with all that is under way."""

import asyncio

from mcisd.demo.hypervisor_door import Door


async def upper(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A server that answers all it got, in capitals, when the caller has ended."""
    writer.write((await reader.read()).upper())
    await writer.drain()
    writer.close()


async def pair() -> tuple[Door, asyncio.Server]:
    """A door that leads to a server; that both are in one network makes no difference to it."""
    server = await asyncio.start_server(upper, "127.0.0.1", 0)
    door = Door()
    await door.open(*server.sockets[0].getsockname())
    return door, server


async def test_bytes_go_through_and_ends_are_told() -> None:
    door, server = await pair()
    reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
    writer.write(b"a" * 200_000)
    writer.write_eof()
    assert await reader.read() == b"A" * 200_000
    writer.close()
    await writer.wait_closed()
    await door.close()
    server.close()
    await server.wait_closed()


async def test_who_is_inside_when_it_closes_sees_the_end() -> None:
    door, server = await pair()
    reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
    writer.write(b"half")
    await writer.drain()
    await asyncio.sleep(0.05)
    await door.close()
    assert await reader.read() == b""
    writer.close()
    await writer.wait_closed()
    server.close()
    await server.wait_closed()


async def test_without_a_server_inside_the_caller_sees_the_end() -> None:
    door, server = await pair()
    server.close()
    await server.wait_closed()
    reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
    assert await reader.read() == b""
    writer.close()
    await writer.wait_closed()
    await door.close()
