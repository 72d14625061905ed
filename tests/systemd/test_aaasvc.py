"""An AAA service that ends when nobody comes, and is started by the next login. It may not end within two minutes of a login, as it
remembers for so long what must not be repeated; so the second test comes at the end of everything."""
import json

import pytest

from fleet import PASSWORD, PERMISSIONS
from machines import DOMAIN


@pytest.fixture(scope="session")
def service(machines, repository, site):
    """A machine with a second AAA service, which signs by HTTPS only, so that its socket alone can start it."""
    machine = machines.machine("aaa")
    repository.paste(machine)
    machine.apt_install("choria-aaasvc")
    for path in site.broker.run("ls /etc/choria/aaasvc*").stdout.split():
        machine.put(path, site.broker.get(path), mode=0o640, owner="root:choria-aaasvc")
    settings = json.loads(machine.get("/etc/choria/aaasvc.json"))
    settings["basicjwt_signer"]["choria_service"] = False
    machine.put("/etc/choria/aaasvc.json", json.dumps(settings), mode=0o640, owner="root:choria-aaasvc")
    machine.put("/etc/default/choria-aaasvc", "EXTRA_OPTS=--idle-exit 1s\n")
    machine.run("systemctl", "enable", "--now", "choria-aaasvc.socket")
    client = site.client.get("/etc/choria/client.conf").replace(f"https://{site.broker.fqdn}:8080", f"https://{machine.fqdn}:8080")
    site.client.put("/etc/choria/idle.conf", client)
    return machine


def login(site, user="admin"):
    return site.client.run("choria", "--config", "/etc/choria/idle.conf", "login", input=f"{user}\n{PASSWORD}\n", user=user, check=False)


def starts(machine):
    return machine.log_of("choria-aaasvc").count("Started choria-aaasvc.service")


def test_the_first_login_starts_it(site, service):
    assert DOMAIN in service.fqdn and "admin" in PERMISSIONS
    assert service.active("choria-aaasvc.service") == "inactive"
    done = login(site)
    assert done.returncode == 0, done
    assert service.active("choria-aaasvc.service") == "active"
    # Somebody who connects and asks nothing does not keep it alive for ever, and is no login.
    assert starts(service) == 1


@pytest.mark.late
def test_it_ends_when_nobody_comes_and_the_next_login_starts_it(site, service):
    service.wait_active("choria-aaasvc.service", "inactive", deadline=240)
    assert service.active("choria-aaasvc.socket") == "active"
    assert service.show("choria-aaasvc.service", "Result", "ExecMainStatus") == {"Result": "success", "ExecMainStatus": "0"}
    done = login(site)
    assert done.returncode == 0, done
    assert starts(service) == 2 and service.active("choria-aaasvc.service") == "active"
