"""Serves with TLS what plain servers on this machine answer, so that a client must trust a certificate as it must on AWS.

    tls_front.py CERTIFICATE KEY PORT...

Prints a line with the port in front of each PORT, in their order, and goes on until standard input is closed.
"""

import asyncio
import ssl
import sys

CERTIFICATE, KEY, *PORTS = sys.argv[1:]


async def pass_on(reader, writer):
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()


async def front(context, port):
    async def serve(reader, writer):
        try:
            behind = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            writer.close()
            return
        await asyncio.gather(pass_on(reader, behind[1]), pass_on(behind[0], writer))

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    print(server.sockets[0].getsockname()[1], flush=True)
    return server


async def main():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE, KEY)
    servers = [await front(context, int(port)) for port in PORTS]
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    for server in servers:
        server.close()


asyncio.run(main())
