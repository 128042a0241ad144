#!/usr/bin/env python3
"""lib/aws signs as botocore does, retries what can heal, ends at its deadline, and shows no secret."""
import os
import socket
import ssl
import struct
import subprocess
import threading
import time

from awslib import (KEY, SECRET, TOKEN, BlackHole, Fake, fails, in_turn, keys, own_network, query_of,
                    shows_secret, succeeds, tool, verify)
from watchlib import check, run

FS = "fs-0123456789abcdef0"
NAMES = {"STS": "sts", "EFS": "elasticfilesystem", "ECS": "ecs", "CLOUDWATCH": "monitoring"}
FORM = "Content-Type: application/x-www-form-urlencoded; charset=utf-8"
JSON = "Content-Type: application/x-amz-json-1.0"
THROTTLED = (400, {}, "<ErrorResponse><Error><Type>Sender</Type><Code>Throttling</Code><Message>Rate exceeded</Message></Error>"
                      "<RequestId>x</RequestId></ErrorResponse>")


def at(server, **more):
    return {**keys(), "AWS_ENDPOINT_URL": server.url, **more}


def shapes(root):
    """every shape of request carries the signature that botocore computes over what arrived"""
    big = os.path.join(root.decode(), "big")
    with open(big, "wb") as file:
        file.write(os.urandom(1024 * 1024 - 1).replace(b"\0", b"\1"))
    cases = {
        "form": ("STS", "/", "-H", FORM, "-b", "Action=GetCallerIdentity&Version=2011-06-15"),
        "json": ("CLOUDWATCH", "/", "-H", JSON, "-H", "X-Amz-Target: GraniteServiceVersion20100801.PutMetricData",
                 "-H", "x-amzn-query-mode: true", "-b", '{"Namespace": "x", "MetricData": []}'),
        "json 1.1": ("ECS", "/", "-H", "Content-Type: application/x-amz-json-1.1",
                     "-H", "X-Amz-Target: AmazonEC2ContainerServiceV20141113.DescribeTasks", "-b", '{"tasks": ["ä"]}'),
        "binary, largest": ("CLOUDWATCH", "/", "-H", JSON, "-H", "Content-Encoding: gzip", "-f", big),
        "spaces in a value": ("STS", "/", "-H", "X-Amz-Meta: a  b   c", "-H", FORM, "-b", "x"),
        "no query": ("EFS", f"/2015-02-01/file-systems/{FS}/policy"),
        "query out of order": ("EFS", "/2015-02-01/mount-targets", "MaxItems=100", f"FileSystemId={FS}", "Marker=m"),
        "names that begin alike": ("EFS", "/x", "a-b=1", "a=2", "a.b=3", "aa=4", "A=5"),
        "every byte": ("EFS", "/x", "Marker=" + "".join(map(chr, range(1, 127))) + "äöü€", "b=%2F%2f+ &=", "c=~-._"),
        "a marker like AWS's": ("EFS", "/2015-02-01/mount-targets", "Marker=AQICAHh/8+x9Q==", f"FileSystemId={FS}"),
    }
    for token in (TOKEN, ""):
        for name, (service, *args) in cases.items():
            with Fake(lambda request: "{}") as server:
                succeeds("call", service, *args, env=at(server, AWS_SESSION_TOKEN=token))
                check(len(server.requests) == 1, f"{name}: {len(server.requests)} requests")
                wrong = verify(server.requests[0], NAMES[service], token=token)
                check(not wrong, f"{name}{' with token' if token else ''}: {wrong}")
                sent = dict(a.split("=", 1) for a in args if "=" in a and not a.startswith("Action")) if service == "EFS" else {}
                check(query_of(server.requests[0]) == sent, f"{name}: the query arrived as {query_of(server.requests[0])}")


def commands(root):
    """the calls that the library makes are signed, and a verifier that never fails is noticed"""
    answers = {
        "identity": '<R xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Arn>a</Arn><UserId>u</UserId><Account>1</Account></R>',
        "mount-targets": {"MountTargets": []}, "access-points": {"AccessPoints": []}, "policy": {"Policy": "{}"},
        "file-system": {"FileSystems": [{"FileSystemId": FS}]},
    }
    for command, answer in answers.items():
        with Fake(lambda request, a=answer: a) as server:
            succeeds(command, *([] if command == "identity" else [FS]), env=at(server))
            service = "sts" if command == "identity" else "elasticfilesystem"
            check(verify(server.requests[0], service) is None, f"{command}: {verify(server.requests[0], service)}")
            check(verify(server.requests[0], service, secret=SECRET + "x"), "the verifier takes any secret")
            server.requests[0].body += b"x"
            check(verify(server.requests[0], service), "the verifier takes any body")


def refused(root):
    """what is outside the verified envelope is not sent"""
    with Fake(lambda request: "{}") as server:
        for args, words in {
            ("EFS", "/a b"): "URL", ("EFS", "/a%2Fb"): "'%'", ("EFS", "//a"): "//", ("EFS", "/../a"): "/.",
            ("EFS", "/x", "a=1", "a=2"): "order", ("EFS", "/x", "a="): "name=value", ("EFS", "/x?b"): "name=value",
            ("STS", "/", "-b", ""): "0 bytes", ("STS", "/", "-H", "X-Amz-Date: 20260101T000000Z", "-b", "x"): "X-Amz-Date",
            ("STS", "/", "-H", "Host: x", "-b", "x"): "Host", ("STS", "/", "-H", "Expect:", "-b", "x"): "Expect",
            ("STS", "/", "-H", "X-Meta: 1", "-H", "x-meta: 2", "-b", "x"): "begin alike", ("STS", "/", "-H", "X-Meta: 1", "-H", "X-Meta-B: 2", "-b", "x"): "X-Meta-B",
            ("STS", "/", "-H", "X-A: 1\r\nX-B: 2", "-b", "x"): "line break", ("STS", "/", "-H", "X-A: \u00e4", "-b", "x"): "ASCII",
        }.items():
            fails("EINVAL", words, args=("call", *args), env=at(server))
        big = os.path.join(root.decode(), "big")
        with open(big, "wb") as file:
            file.write(b"x" * 1024 * 1024)
        fails("EINVAL", "1048576", args=("call", "CLOUDWATCH", "/", "-f", big), env=at(server))
        fails("EINVAL", "session token", args=("identity",), env=at(server, AWS_SESSION_TOKEN="a\r\nX-Evil: b"))
        check(not server.requests, f"{len(server.requests)} requests were sent")


def errors(root):
    """errors are read from JSON, XML and headers, and are told apart"""
    cases = [
        ("EACCES", "AccessDeniedException: User: arn:aws:sts::1:assumed-role/r/s is not authorized to perform: "
         "elasticfilesystem:DescribeMountTargets", (403, {"x-amzn-ErrorType": "AccessDeniedException:http://internal/"},
                                                    {"Message": "User: arn:aws:sts::1:assumed-role/r/s is not authorized to perform: "
                                                                "elasticfilesystem:DescribeMountTargets"})),
        ("ENOENT", "FileSystemNotFound: File system 'fs-1' does not exist.", (404, {}, {
            "ErrorCode": "FileSystemNotFound", "Message": "File system 'fs-1' does not exist."})),
        ("EINVAL", "InvalidParameterValueException: no", (400, {}, {"__type": "GraniteServiceVersion20100801#InvalidParameterValueException",
                                                                    "message": "no"})),
        ("EINVAL", "InvalidParameterValue: no", (400, {"x-amzn-query-error": "InvalidParameterValue;Sender"}, {
            "__type": "GraniteServiceVersion20100801#InvalidParameterValueException", "message": "no"})),
        ("EACCES", "AccessDenied: <&>\"' no", (403, {}, "<?xml version=\"1.0\"?><ErrorResponse xmlns=\"https://sts\"><Error><Code>AccessDenied"
                                               "</Code><Message>&lt;&amp;&gt;&quot;&#39; no</Message></Error></ErrorResponse>")),
        ("EACCES", "answered 403", (403, {}, "<html><p>Forbidden by proxy")),
        ("EINVAL", "answered 400", (400, {}, b"\xff\xfe\x00{")),
        ("EINVAL", "answered 418", (418, {}, "<!DOCTYPE x [<!ENTITY a \"b\">]><E><Code>&a;</Code></E>")),
        ("EINVAL", "Odd: a?b", (400, {}, {"code": "Odd", "message": "a\x1bb\nsecond line"})),
    ]
    for errno_name, words, answer in cases:
        with Fake(lambda request, a=answer: a) as server:
            fails(errno_name, words, args=("call", "EFS", "/x"), env=at(server))
            check(len(server.requests) == 1, f"{words}: was repeated")


def policies(root):
    """no policy is not the same as no file system"""
    def not_found(code):
        return Fake(lambda request: (404, {"x-amzn-ErrorType": code + ":"}, {"ErrorCode": code, "Message": "m"}))
    with not_found("PolicyNotFound") as server:
        check(succeeds("policy", FS, env=at(server)) == {"Policy": None}, "the default policy")
    with not_found("FileSystemNotFound") as server:
        fails("ENOENT", "FileSystemNotFound: m", args=("policy", FS), env=at(server))


def retries(root):
    """throttling, server errors and broken connections are retried, other errors are not"""
    def hang_up(request):
        raise OSError("the connection breaks")
    good = {"MountTargets": []}
    for name, first in {"500": (500, {}, ""), "503": (503, {}, "busy"), "429": (429, {}, {"ErrorCode": "TooManyRequests"}),
                        "400": THROTTLED, "broken": hang_up}.items():
        with Fake(in_turn(first, good)) as server:
            succeeds("mount-targets", FS, env=at(server))
            check(len(server.requests) == 2, f"{name}: {len(server.requests)} requests")
            check(all(verify(r, "elasticfilesystem") is None for r in server.requests), f"{name}: a retry is signed wrongly")
    with Fake(lambda request: (503, {}, {"ErrorCode": "InternalServerError", "Message": "sorry"})) as server:
        fails("EREMOTEIO", "InternalServerError: sorry", args=("mount-targets", FS), env=at(server))
        check(len(server.requests) == 5, f"{len(server.requests)} attempts")
    for header, least in (("Retry-After", "1"), ("x-amz-retry-after", "1000")):
        with Fake(in_turn((503, {header: least}, ""), good)) as server:
            succeeds("mount-targets", FS, env=at(server))
            between = server.requests[1].time - server.requests[0].time
            check(0.95 < between < 3, f"{header}: {between} s between attempts")
    with Fake(lambda request: (429, {"Retry-After": "50"}, {"ErrorCode": "TooManyRequests"})) as server:
        seconds = fails("EAGAIN", "TooManyRequests", args=("mount-targets", FS), env=at(server), deadline_ms=1500)
        check(seconds < 1 and len(server.requests) == 1, f"waited {seconds} s for what cannot be in time")


def jitter(root):
    """throttled retries are spread: full jitter"""
    gaps = []
    for _ in range(6):
        with Fake(in_turn(THROTTLED, {"MountTargets": []})) as server:
            succeeds("mount-targets", FS, env=at(server))
            gaps.append(server.requests[1].time - server.requests[0].time)
    check(max(gaps) < 1.2 and max(gaps) - min(gaps) > 0.05, f"gaps {gaps}")


def signature_errors(root):
    """a wrong clock is named, and what AWS quotes of the request is not shown"""
    quoted = ("The request signature we calculated does not match the signature you provided. " + TOKEN + " " + SECRET +
              "\n\nThe Canonical String for this request should have been\n'POST\n/\n\nx-amz-security-token:" + TOKEN + "'")
    body = f"<ErrorResponse><Error><Code>SignatureDoesNotMatch</Code><Message>{quoted}</Message></Error></ErrorResponse>"
    past = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() - 1000))
    with Fake(lambda request: (403, {"Date": past}, body)) as server:
        fails("EKEYREJECTED", "clock of this host is", "s ahead of the one of AWS", "SignatureDoesNotMatch",
              args=("identity",), env=at(server))
    with Fake(lambda request: (403, {}, body)) as server:
        _, _, error, _ = tool("identity", env=at(server))
        check("clock" not in error and "does not match" in error and "Canonical" not in error, error)
        check(len(server.requests) == 2, "asked once more with fresh credentials, then no more")
    check(shows_secret("x" + SECRET) and shows_secret("x" + TOKEN[:30]), "the search for secrets finds nothing")


def redirects(root):
    """a redirect is an error that names its target, which is never contacted"""
    with Fake(lambda request: "never") as other, Fake(lambda request: (307, {"Location": other.url + "/x?secret=1"}, "")) as server:
        fails("EPROTO", "307", other.url + "/x", args=("identity",), env=at(server))
        fails("EPROTO", other.url, args=("get", server.url + "/y"))
        check(not other.requests and len(server.requests) == 2, "the redirect was followed")


def lies(root):
    """endless, huge, cut and malformed answers end in an error that says so"""
    def endless(request):
        return 200, {}, b"{" + b" " * (4 << 20)
    with Fake(endless) as server:
        fails("EFBIG", "larger", args=("mount-targets", FS), env=at(server))
    with Fake(lambda request: (200, {f"X-{i}": "x" * 1000 for i in range(90)}, "{}")) as server:
        fails("EFBIG", "larger", args=("mount-targets", FS), env=at(server))
    for body in ("", "{", "[]", "{\"MountTargets\": {}}", "\0", "<xml/>", '{"MountTargets": [], "NextMarker": 5}'):
        with Fake(lambda request, b=body: b) as server:
            fails("EBADMSG", args=("mount-targets", FS), env=at(server))
    for body in ("<a>", "{}", "<a><Arn>x</Arn></a>", "<!DOCTYPE a><a><Arn>x</Arn><Account>1</Account></a>", "<a>" * 100):
        with Fake(lambda request, b=body: b) as server:
            fails("EBADMSG", "GetCallerIdentity", args=("identity",), env=at(server))


def paging(root):
    """lists are read page by page, up to a cap, also when the service never stops"""
    def page(request):
        start = int(query_of(request).get("Marker", "p+/0=")[3:-1])
        items = [{"MountTargetId": f"fsmt-{i:08x}"} for i in range(start, start + 3)]
        return {"MountTargets": items, **({"NextMarker": f"p+/{start + 3}="} if start < 6 else {})}
    with Fake(page) as server:
        got = succeeds("mount-targets", FS, env=at(server))
        check([t["MountTargetId"] for t in got["MountTargets"]] == [f"fsmt-{i:08x}" for i in range(9)] and not got["more"], got)
        check(all(verify(r, "elasticfilesystem") is None for r in server.requests) and len(server.requests) == 3, "signatures")
    with Fake(lambda request: {"MountTargets": [{}] * 30, "NextMarker": "again"}) as server:
        got = succeeds("mount-targets", FS, env=at(server))
        check(len(got["MountTargets"]) == 64 and got["more"], f"{len(got['MountTargets'])} of an endless list")
        check(len(server.requests) == 3, f"{len(server.requests)} pages")
    with Fake(lambda request: {"AccessPoints": [], "NextToken": "again"}) as server:
        fails("EBADMSG", "pages", args=("access-points", FS), env=at(server))
        check(len(server.requests) == 32, f"{len(server.requests)} pages")
        check("NextToken" in query_of(server.requests[-1]) and "MaxResults" in query_of(server.requests[-1]), "paging style")


def black_holes(root):
    """with the service, the network or the name server black-holed, the call ends at its deadline"""
    with socket.create_server(("127.0.0.1", 0)) as silent:  # accepts, never answers
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        seconds = fails("ETIMEDOUT", url, args=("identity",), env={**keys(), "AWS_ENDPOINT_URL": url}, deadline_ms=1000)
        check(0.9 < seconds < 1.6, f"silent service: {seconds} s")
    with BlackHole() as hole:
        seconds = fails("ETIMEDOUT", hole.url, args=("identity",), env=at(hole), deadline_ms=1000)
        check(0.9 < seconds < 1.6, f"black hole: {seconds} s")
    resolv = os.path.join(root.decode(), "resolv.conf")
    with open(resolv, "w", encoding="ascii") as file:
        file.write("nameserver 127.0.0.1\noptions timeout:5 attempts:2\n")
    subprocess.run(["mount", "--bind", resolv, "/etc/resolv.conf"], check=True, timeout=10)  # in a mount namespace of our own
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as dns:
        dns.bind(("127.0.0.1", 53))
        seconds = fails("ETIMEDOUT", "sts.eu-west-1.amazonaws.com", args=("identity",), env=keys(), deadline_ms=1000)
        check(0.9 < seconds < 1.6, f"silent name server: {seconds} s")
        dns.settimeout(1)
        check(b"\x03sts" in dns.recv(512), "the name server was not asked")
    check(fails("EHOSTUNREACH", "sts.eu-west-1.amazonaws.com", args=("identity",), env=keys(), deadline_ms=1000) < 1.6, "no name server")


def proxies(root):
    """AWS is reached through the proxy that is set, link-local endpoints never are"""
    fresh = {"AccessKeyId": KEY, "SecretAccessKey": SECRET, "Token": TOKEN, "RoleArn": "r", "Expiration": "2099-01-01T00:00:00Z"}
    fresh["Expiration"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3600))
    with Fake(lambda request: {"MountTargets": []}) as proxy, Fake(lambda request: fresh, "169.254.170.2", 80) as agent:
        succeeds("mount-targets", FS, env={"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/v2/credentials/x", "http_proxy": proxy.url,
                                           "AWS_ENDPOINT_URL_EFS": "http://efs.example.test"})
        check([r.target.split("?")[0] for r in proxy.requests] == ["http://efs.example.test/2015-02-01/mount-targets"], "the proxy")
        check(len(agent.requests) == 1, "the agent")


def certificate_for_loopback(root):
    """Files with key and certificate, and with the certificate."""
    pem, ca = (os.path.join(root.decode(), n) for n in ("both.pem", "ca.pem"))
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-keyout", pem,
                    "-out", ca, "-subj", "/CN=test", "-addext", "subjectAltName=IP:127.0.0.1"], check=True, capture_output=True, timeout=30)
    with open(ca, encoding="ascii") as certificate, open(pem, "a", encoding="ascii") as both:
        both.write(certificate.read())
    return pem, ca


def broken_tls(root):
    """a service that breaks a TLS connection while it is written to ends in an error, not in a signal"""
    pem, ca = certificate_for_loopback(root)
    big = os.path.join(root.decode(), "big")
    with open(big, "wb") as file:
        file.write(b"x" * 1000000)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        def serve():
            while True:
                try:
                    with context.wrap_socket(listener.accept()[0], server_side=True) as connection:
                        connection.recv(1000)
                        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                except ssl.SSLError:
                    pass
                except OSError:
                    return
        threading.Thread(target=serve, daemon=True).start()
        url = f"https://127.0.0.1:{listener.getsockname()[1]}"
        env = {**keys(), "AWS_ENDPOINT_URL": url, "AWS_CA_BUNDLE": ca}
        for _ in range(3):
            fails("EIO", url, args=("call", "CLOUDWATCH", "/", "-f", big), env=env)
        listener.shutdown(socket.SHUT_RDWR)


def tls(root):
    """a certificate that nobody vouches for is refused, at once; AWS_CA_BUNDLE vouches"""
    pem, ca = certificate_for_loopback(root)
    with Fake(lambda request: {"MountTargets": []}, certificate=pem) as server, \
            Fake(lambda request: {"MountTargets": []}, host="169.254.170.2", certificate=pem) as elsewhere:
        check(fails("EKEYREJECTED", "certificate", args=("mount-targets", FS), env=at(server)) < 2, "it was retried")
        succeeds("mount-targets", FS, env=at(server, AWS_CA_BUNDLE=ca))
        fails("EKEYREJECTED", args=("mount-targets", FS), env=at(elsewhere, AWS_CA_BUNDLE=ca))
        check(len(server.requests) == 1 and not elsewhere.requests, "a request went to an unverified host")


if __name__ == "__main__":
    own_network()
    run(shapes, commands, refused, errors, policies, retries, jitter, signature_errors, redirects, lies, paging, proxies, tls, broken_tls, black_holes)
