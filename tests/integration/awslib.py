"""What the lib/aws tests share: a network of their own, servers that play AWS, an independent signature check."""
import http.server
import json
import os
import re
import socket
import ssl
import subprocess
import sys
import threading
import time
import urllib.parse

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from watchlib import BUILD, check, die_with_parent

TOOL = os.path.join(BUILD, "tests/aws_tool")
KEY, SECRET, TOKEN = "AKIAEXAMPLE00000TEST", "SeCrEt/key+that/must=never+be+shown00000", "ToKeN/that+must/never=be+shown" * 40 + "=="
SECRETS = {SECRET, TOKEN}
LINK_LOCAL = ["169.254.170.2/32", "169.254.170.23/32", "169.254.169.254/32", "fd00:ec2::23/128 nodad"]


def own_network():
    """Run the calling program again in a network namespace: its link-local addresses are the test's."""
    if os.environ.get("AWS_TEST_NETWORK") != str(os.getpid()):
        flags = "-nm" if os.geteuid() == 0 else "-rnm"
        os.environ["AWS_TEST_NETWORK"] = str(os.getpid())  # exec keeps the pid
        os.execvp("unshare", ["unshare", flags, sys.executable, *sys.argv])
    for command in ["link set lo up"] + [f"addr add dev lo {a}" for a in LINK_LOCAL]:
        subprocess.run(["ip", *command.split()], check=True, timeout=10)


class Request:
    """One request as it came in."""

    def __init__(self, handler, body):
        self.method, self.target, self.body, self.time = handler.command, handler.path, body, time.monotonic()
        self.header_list = [(k.lower(), v) for k, v in handler.headers.items()]
        self.headers = dict(self.header_list)
        self.path, _, self.query = self.target.partition("?")


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def _serve(self):
        length = int(self.headers.get("Content-Length") or 0)
        request = Request(self, self.rfile.read(length))
        with self.server.lock:
            self.server.requests.append(request)
        answer = self.server.answer(request)
        status, headers, body = answer if isinstance(answer, tuple) else (200, {}, answer)
        body = json.dumps(body).encode() if isinstance(body, (dict, list)) else body.encode() if isinstance(body, str) else body
        self.send_response_only(status)
        if "Date" not in headers:
            self.send_header("Date", self.date_time_string())
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "close")
        self.end_headers()
        try:
            self.wfile.write(body)
        except OSError:
            pass  # the client has had enough
        self.close_connection = True

    do_GET = do_POST = do_PUT = _serve

    def log_message(self, *_):
        pass


class Fake(http.server.ThreadingHTTPServer):
    """answer(request) gives a body, or (status, headers, body)."""
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, answer, host="127.0.0.1", port=0, certificate=None):
        self.answer, self.requests, self.lock = answer, [], threading.Lock()
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        super().__init__((host, port), Handler)
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self.socket = context.wrap_socket(self.socket, server_side=True)
        name = f"[{host}]" if ":" in host else host
        self.url = f"http{'s' if certificate else ''}://{name}:{self.server_address[1]}"
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def handle_error(self, request, client_address):
        pass  # clients that hang up or do not like the certificate are part of the tests

    def __exit__(self, *_):
        self.shutdown()
        self.server_close()


class BlackHole:
    """A port whose queue of connections is full: the kernel drops every further SYN."""

    def __enter__(self):
        self.sockets = [socket.create_server(("127.0.0.1", 0), backlog=0)]
        address = self.sockets[0].getsockname()
        for _ in range(4):
            client = socket.socket()
            client.setblocking(False)
            client.connect_ex(address)
            self.sockets.append(client)
        self.url = f"http://127.0.0.1:{address[1]}"
        return self

    def __exit__(self, *_):
        for one in self.sockets:
            one.close()


def in_turn(*answers):
    """An answer for each request; the last one stays."""
    rest = list(answers)

    def answer(request):
        one = rest.pop(0) if len(rest) > 1 else rest[0]
        return one(request) if callable(one) else one
    return answer


def shows_secret(text):
    return any(part in text for secret in SECRETS for part in (secret[:24], secret[-24:]))


def keys(token=TOKEN):
    return {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_SESSION_TOKEN": token, "AWS_REGION": "eu-west-1"}


def environment(env):
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "ECS_")) and not k.lower().endswith("_proxy")}
    return {**clean, "AWS_REGION": "eu-west-1", **(env or {})}


def tool(*args, env=None, deadline_ms=5000, wrapper=()):
    """Run aws_tool: exit code, what it printed (parsed lines), its error, and how long it took. No secret is ever shown."""
    start = time.monotonic()
    done = subprocess.run([*wrapper, TOOL, "-d", str(deadline_ms), *args], env=environment(env), capture_output=True, text=True,
                          timeout=60, check=False, preexec_fn=die_with_parent)
    check(not shows_secret(done.stdout + done.stderr), f"aws_tool {args[0]}: a secret was shown")
    check(done.returncode in (0, 1), f"aws_tool {args}: exit code {done.returncode}: {done.stderr}")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return done.returncode, lines, done.stderr.strip(), time.monotonic() - start


def succeeds(*args, **kwargs):
    code, lines, error, _ = tool(*args, **kwargs)
    check(code == 0, f"aws_tool {args}: {error}")
    return lines[-1]


def fails(errno_name, *words, args, **kwargs):
    """aws_tool fails with this errno, and says these words. How long it took."""
    code, lines, error, seconds = tool(*args, **kwargs)
    check(code == 1 and error.startswith(errno_name + ": "), f"aws_tool {args}: expected {errno_name}, got {lines} {error}")
    for word in words:
        check(word in error, f"aws_tool {args}: no \"{word}\" in: {error}")
    return seconds


AUTHORIZATION = re.compile(r"AWS4-HMAC-SHA256 Credential=([^/]+)/(\d{8})/([^/]+)/([^/]+)/aws4_request, ?"
                           r"SignedHeaders=([a-z0-9;-]+), ?Signature=([0-9a-f]{64})$")


def verify(request, service, region="eu-west-1", secret=SECRET, token=TOKEN):
    """Is the request signed as botocore would sign what arrived? None or what is wrong."""
    names = [name for name, _ in request.header_list]
    if len(names) != len(set(names)):
        return f"a header was sent twice: {names}"
    match = AUTHORIZATION.match(request.headers.get("authorization", ""))
    if not match:
        return "no Authorization as it should be"
    key, day, its_region, its_service, signed, signature = match.groups()
    signed = signed.split(";")
    timestamp = request.headers["x-amz-date"]
    if (key, its_region, its_service, day) != (KEY, region, service, timestamp[:8]):
        return f"scope {(key, its_region, its_service, day)}"
    unsigned = [n for n in names if (n.startswith("x-amz") or n in ("host", "content-type", "content-encoding")) and n not in signed]
    if unsigned:
        return f"not signed: {unsigned}"
    if request.headers.get("x-amz-security-token", "") != token:
        return "another session token"
    url = f"http://{request.headers['host']}{request.target}"
    again = AWSRequest(method=request.method, url=url, data=request.body, headers={n: request.headers[n] for n in signed})
    again.context["timestamp"] = timestamp
    signer = SigV4Auth(Credentials(KEY, secret), service, region)
    mine = signer.signature(signer.string_to_sign(again, signer.canonical_request(again)), again)
    return None if mine == signature else f"signature differs; canonical request:\n{signer.canonical_request(again)}"


def query_of(request):
    return dict(urllib.parse.parse_qsl(request.query, keep_blank_values=True, strict_parsing=bool(request.query)))
