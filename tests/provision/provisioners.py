"""How the provisioners of the suite are made, here and in other processes: these import no more than they need."""

from atex_provision import Host, HostPool, Provisioner
from atex_provision.provisioner.leased import DAY


def from_pool(*hosts: Host, duration: float = DAY) -> Provisioner:
    return HostPool(hosts, duration=duration).provisioner()
