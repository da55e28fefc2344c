"""What uvicorn itself can do, without a framework."""
import json


async def app(scope, receive, send):
    body = json.dumps({"message": "Hello, World!"}).encode()
    await send({"type": "http.response.start", "status": 200,
                "headers": [(b"content-type", b"application/json"),
                            (b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})
