#!/usr/bin/env python3
"""Credentials: every source, refreshed in time, kept while they are valid, and what users see when an endpoint fails."""
import os
import subprocess
import threading
import time

from awslib import KEY, SECRET, SECRETS, TOKEN, BlackHole, Fake, environment, fails, in_turn, own_network, succeeds, tool
from watchlib import check, needs, run

ROLE = "arn:aws:iam::123456789012:role/task"
AUTH = ["AuThOrIzAtIoN+one/never+shown+000", "AuThOrIzAtIoN+two/never+shown+000"]
SECRETS.update(AUTH)
RELATIVE = {"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/v2/credentials/2f4e"}


def iso(seconds):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + seconds))


def answer(life_s=3600, key=KEY, **more):
    return {"RoleArn": ROLE, "AccessKeyId": key, "SecretAccessKey": SECRET, "Token": TOKEN, "Expiration": iso(life_s), **more}


def full(server, **more):
    return {"AWS_CONTAINER_CREDENTIALS_FULL_URI": server.url + "/creds", **more}


def environment_source(root):
    """the environment: whole, or the variable that is missing is named"""
    env = {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET}
    got = succeeds("credentials", env=env)
    check(got["source"] == "environment" and got["id"] == KEY and got["expires"] == -1 and not got["token"], got)
    check(succeeds("credentials", env={**env, "AWS_SESSION_TOKEN": TOKEN, **RELATIVE})["token"], "the token")
    fails("EINVAL", "AWS_SECRET_ACCESS_KEY is not", args=("credentials",), env={"AWS_ACCESS_KEY_ID": KEY})
    fails("EINVAL", "AWS_ACCESS_KEY_ID is not", args=("credentials",), env={"AWS_SECRET_ACCESS_KEY": SECRET})
    fails("EINVAL", "secret access key", "byte 34", args=("credentials",), env={**env, "AWS_SECRET_ACCESS_KEY": SECRET[:33] + "\n"})


def relative_uri(root):
    """the container endpoint by relative URI, which goes before the full one; the role is kept"""
    with Fake(lambda request: answer(), "169.254.170.2", 80) as agent, Fake(lambda request: answer()) as other:
        got = succeeds("credentials", env={**RELATIVE, **full(other)})
        check(got["source"] == "container" and got["role"] == ROLE and got["token"], got)
        check(3500 < got["expires"] <= 3600 and 3600 - 365 < got["refresh"] < 3600 - 295, f"refreshed at {got}")
        check([r.path for r in agent.requests] == ["/v2/credentials/2f4e"] and not other.requests, "who was asked")
        check("authorization" not in agent.requests[0].headers, "an authorization nobody asked for")
    fails("EINVAL", "does not begin with", args=("credentials",), env={"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "@127.0.0.1/x"})


def full_uri_hosts(root):
    """without TLS only this host's own addresses are asked, compared exactly"""
    for host in ("127.0.0.1", "127.8.9.1", "::1", "169.254.170.2", "169.254.170.23", "fd00:ec2::23"):
        with Fake(lambda request: answer(), host) as server:
            check(succeeds("credentials", env=full(server))["role"] == ROLE, host)
    with Fake(lambda request: answer()) as server:
        port = server.server_address[1]
        succeeds("credentials", env={"AWS_CONTAINER_CREDENTIALS_FULL_URI": f"http://localhost:{port}/"})
        for url in ("http://169.254.170.20/", "http://169.254.170.2.example.com/", "http://127.0.0.1.example.com/", "http://10.0.0.1/",
                    "http://1270.0.0.1/", "http://[fd00:ec2::24]/", "http://[fe80::1%25lo]/", "http://localhost.example.com/",
                    "http://example.com#@127.0.0.1/", "ftp://127.0.0.1/", "http://169.254.169.254/"):
            fails("EACCES", "refused", args=("credentials",), env={"AWS_CONTAINER_CREDENTIALS_FULL_URI": url})
        for url in ("127.0.0.1", "http://", "http://user:pass@127.0.0.1/", f"http://example.com:{port}\\@127.0.0.1/", "x" * 2000):
            fails("EINVAL", args=("credentials",), env={"AWS_CONTAINER_CREDENTIALS_FULL_URI": url})
        check(len(server.requests) == 1, "one of them was asked")


def token_file(root):
    """the authorization is read anew for each refresh, from the file first; line breaks are refused"""
    path = os.path.join(root.decode(), "token")

    def write(text):
        with open(path + ".new", "w", encoding="ascii") as file:
            file.write(text)
        os.rename(path + ".new", path)

    def serve(request):
        check(request.headers.get("authorization") in AUTH, "the authorization")
        write(AUTH[1])  # rotated under the client
        return answer(2)
    env = {"AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": path, "AWS_CONTAINER_AUTHORIZATION_TOKEN": "unused"}
    write(AUTH[0])
    with Fake(serve) as server:
        tool("credentials", "5", "400", env=full(server, **env))
        sent = [r.headers["authorization"] for r in server.requests]
        check(sent[0] == AUTH[0] and len(sent) >= 2 and set(sent[1:]) == {AUTH[1]}, f"{len(sent)} requests")
        server.requests.clear()
        succeeds("credentials", env=full(server, AWS_CONTAINER_AUTHORIZATION_TOKEN=AUTH[0]))
        check(server.requests[0].headers["authorization"] == AUTH[0], "the token of the variable")
        server.requests.clear()
        for bad in (AUTH[0] + "\n", "a\r\nX-Evil: 1", "", "a\0b", "x" * 20000):
            write(bad)
            fails("EFBIG" if len(bad) > 16384 else "EINVAL", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", args=("credentials",), env=full(server, **env))
        fails("EINVAL", "line break", args=("credentials",), env=full(server, AWS_CONTAINER_AUTHORIZATION_TOKEN=AUTH[0] + "\r\nX: y"))
        os.unlink(path)
        fails("ENOENT", path, args=("credentials",), env=full(server, **env))
        check(not server.requests, "something was sent")


def expiry(root):
    """credentials that expire during a run are replaced before they do"""
    serial = iter(range(1, 100))
    with Fake(lambda request: answer(3, f"AKIAEXAMPLE{next(serial):05}")) as server:
        code, lines, error, _ = tool("credentials", "25", "200", env=full(server))
        check(code == 0 and not error, error)
        check(all(line["expires"] > 0.1 for line in lines), "expired ones were given out")
        check(len({line["id"] for line in lines}) == len(server.requests) and 3 <= len(server.requests) <= 6, f"{len(server.requests)} fetches")


def kept(root):
    """still-valid credentials are kept while refreshing fails, and given up when they expire"""
    def broken(request):
        return 500, {}, {"message": "no agent"}
    with Fake(in_turn(answer(4), broken)) as server:
        start = time.monotonic()
        code, lines, error, _ = tool("credentials", "12", "500", env=full(server), deadline_ms=700)
        good = [line for line in lines if "id" in line]
        check(code == 1 and "no agent" in error and "answered 500" in error, error)
        check(5 <= len(good) <= 9 and "error" in lines[-1], f"{len(good)} of {len(lines)} were good")
        check(any("no agent" in line["last_error"] for line in good), "the failure is not told")
        tries = [r.time - start for r in server.requests if 2 < r.time - start < 4]
        check(len(tries) <= 7, f"{len(tries)} attempts while there were valid ones: a storm")  # one refresh, not one for each call


def temporary(root):
    """503 first, then an answer; an endpoint that comes up late"""
    with Fake(in_turn((503, {}, {"code": "CredentialsUninitialized", "message": "wait"}), (503, {}, ""), answer())) as server:
        check(succeeds("credentials", env=full(server))["role"] == ROLE, "after 503")
        check(len(server.requests) == 3, f"{len(server.requests)} requests")
    late = []

    def start():
        late.append(Fake(lambda request: answer(), "169.254.170.2", 80))
    timer = threading.Timer(1, start)
    timer.start()
    succeeds("credentials", env=RELATIVE)
    timer.join()
    late[0].shutdown()
    late[0].server_close()


def endpoint_errors(root):
    """malformed, incomplete, absurd and refused answers each name what is wrong"""
    def without(field):
        return {k: v for k, v in answer().items() if k != field}
    cases = [("EINVAL", body, ["not a JSON object"]) for body in (
        "", "{", "[]", f'{{"SecretAccessKey": "{SECRET}", "Token": {TOKEN}', f'"{SECRET}"', b"\xff\xfe", f'{{"Token": "{TOKEN}" "a"}}')]
    cases += [("ENOENT", without(f), [f'"{f}" is missing']) for f in ("AccessKeyId", "SecretAccessKey", "Token", "Expiration")]
    cases += [("EINVAL", answer(**{f: v}), [words]) for f, v, words in (
        ("AccessKeyId", "", "access key id"), ("SecretAccessKey", 5, '"SecretAccessKey" is not a string'),
        ("Token", "a\r\nX-Evil: b", "session token"), ("Token", "x" * 20000, '"Token" is longer'), ("Token", None, '"Token" is not a string'),
        ("Expiration", "soon", '"soon", not a time'), ("Expiration", iso(10**9), "7 days"), ("Expiration", "2026-13-45T00:00:00Z", "not a time"))]
    cases += [("EKEYEXPIRED", answer(-10), ["had passed when it was sent"])]
    cases += [("EIO", {"Code": "Failed", "Message": "x"}, ['"Failed"'])]
    cases += [("EIO", (400, {}, {"code": "InvalidIdInRequest", "message": "no such id"}), ["answered 400: no such id"]),
              ("EACCES", (403, {}, {"Message": "not\x1b[31m\nfor you"}), ["answered 403: not?[31m?for you"]), ("EIO", (404, {}, "<html>"), ["answered 404"]),
              ("EFBIG", "{" + " " * 10**6, ["larger"])]
    for errno_name, body, words in cases:
        with Fake(lambda request, b=body: b) as server:
            fails(errno_name, server.url + "/creds", *words, args=("credentials",), env=full(server))
            check(len(server.requests) == 1, f"{words}: was repeated")


def server_clock(root):
    """the lifetime counts from the answer's Date: a wrong clock here does not matter"""
    then = time.time() - 86400
    with Fake(lambda request: (200, {"Date": time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(then))},
                               answer(Expiration=time.strftime("%Y-%m-%dT%H:%M:%S.123Z", time.gmtime(then + 3600))))) as server:
        check(3590 < succeeds("credentials", env=full(server))["expires"] <= 3600, "the lifetime")


def redirect(root):
    """a redirect to elsewhere is refused, and its target never contacted"""
    with Fake(lambda request: answer()) as other, Fake(lambda request: (302, {"Location": other.url + "/steal"}, "")) as server:
        fails("EPROTO", other.url + "/steal", "refused", args=("credentials",), env=full(server, AWS_CONTAINER_AUTHORIZATION_TOKEN=AUTH[0]))
        check(len(server.requests) == 1 and not other.requests, "it was followed")


def slow(root):
    """slow, silent and black-holed endpoints end at the deadline"""
    def slowly(request):
        time.sleep(30)
        return answer()
    with Fake(slowly) as server, BlackHole() as hole:
        for at in (server, hole):
            seconds = fails("ETIMEDOUT", at.url, args=("credentials",), env=full(at), deadline_ms=1500)
            check(1.3 < seconds < 2.2, f"{at.url}: {seconds} s")
    with Fake(in_turn(slowly, answer())) as server:
        seconds = tool("credentials", env=full(server), deadline_ms=5000)[3]
        check(2 < seconds < 3.5 and len(server.requests) == 2, f"a second attempt after {seconds} s")


def instance(root):
    """the instance's metadata service, version 2; not on Fargate, not when it is disabled, a hint when it is silent"""
    def imds(request):
        if request.method == "PUT" and request.path == "/latest/api/token":
            return "session" if request.headers.get("x-aws-ec2-metadata-token-ttl-seconds") == "21600" else (400, {}, "")
        if request.headers.get("x-aws-ec2-metadata-token") != "session":
            return 401, {}, ""
        if request.path == "/latest/meta-data/iam/security-credentials/":
            return "node-role\n"
        return {"Code": "Success", "Type": "AWS-HMAC", **answer()} if request.path.endswith("/node-role") else (404, {}, "")
    with Fake(imds, "169.254.169.254", 80) as server:
        got = succeeds("credentials")
        check(got["source"] == "instance" and got["token"] and len(server.requests) == 3, got)
        server.requests.clear()
        for env in ({"AWS_EXECUTION_ENV": "AWS_ECS_FARGATE"}, {"AWS_EC2_METADATA_DISABLED": "true"}):
            fails("ENOENT", "taskRoleArn", args=("credentials",), env=env)
        check(not server.requests, "it was asked nevertheless")
    with Fake(lambda request: "../../x" if request.method == "GET" else "t") as server:
        fails("EINVAL", "names no role", args=("credentials",), env={"AWS_EC2_METADATA_SERVICE_ENDPOINT": server.url})
    with Fake(lambda request: (404, {}, "")) as server:
        fails("EIO", "answered 404", args=("credentials",), env={"AWS_EC2_METADATA_SERVICE_ENDPOINT": server.url})
    with BlackHole() as hole:
        seconds = fails("ETIMEDOUT", "no task role", "hop limit", args=("credentials",), env={"AWS_EC2_METADATA_SERVICE_ENDPOINT": hole.url})
        check(seconds < 1.6, f"{seconds} s")


def expired_token(root):
    """what AWS calls expired is fetched anew and the call repeated, once"""
    serial = iter(range(1, 100))
    expired = (403, {}, {"__type": "ExpiredTokenException", "message": "The security token included in the request is expired"})
    with Fake(lambda request: answer(key=f"AKIAEXAMPLE{next(serial):05}")) as agent:
        with Fake(in_turn(expired, {"MountTargets": []})) as aws:
            succeeds("mount-targets", "fs-01234567", env=full(agent, AWS_ENDPOINT_URL=aws.url))
            used = [r.headers["authorization"].split("Credential=")[1].split("/")[0] for r in aws.requests]
            check(used == ["AKIAEXAMPLE00001", "AKIAEXAMPLE00002"], used)
        with Fake(lambda request: expired) as aws:
            fails("EKEYREJECTED", "ExpiredTokenException", args=("mount-targets", "fs-01234567"), env=full(agent, AWS_ENDPOINT_URL=aws.url))
            check(len(aws.requests) == 2, f"{len(aws.requests)} attempts")


def clients_agree(root):
    """the fake endpoint is faithful: the aws command line client takes its answers"""
    needs("aws")
    path = os.path.join(root.decode(), "token")
    with open(path, "w", encoding="ascii") as file:
        file.write(AUTH[0])
    with Fake(lambda request: answer()) as agent, Fake(lambda request: "<GetCallerIdentityResponse><GetCallerIdentityResult><Arn>a</Arn>"
                                                       "</GetCallerIdentityResult></GetCallerIdentityResponse>") as aws:
        env = environment(full(agent, AWS_CONTAINER_AUTHORIZATION_TOKEN=AUTH[0], AWS_CONFIG_FILE="/dev/null", AWS_PAGER="", AWS_DEFAULT_REGION="eu-west-1",
                               AWS_SHARED_CREDENTIALS_FILE="/dev/null"))
        done = subprocess.run(["aws", "--endpoint-url", aws.url, "sts", "get-caller-identity"], env=env, capture_output=True, text=True,
                              timeout=60, check=False)
        check(done.returncode == 0, f"aws: {done.stderr}")
        check(agent.requests[0].headers["authorization"] == AUTH[0], "its authorization")
        check(aws.requests[0].headers["x-amz-security-token"] == TOKEN, "its token")


if __name__ == "__main__":
    own_network()
    run(environment_source, relative_uri, full_uri_hosts, token_file, expiry, kept, temporary, endpoint_errors, server_clock, redirect, slow,
        instance, expired_token, clients_agree)
