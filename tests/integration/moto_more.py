"""moto_server with what it lacks of AWS and our deployments use: python3 moto_more.py [MOTO_SERVER OPTION ...]"""
import json
import sys

from moto.ecs.responses import EC2ContainerServiceResponse
from moto.efs.models import AccessPoint, FileSystem
from moto.efs.responses import EFSResponse
from moto.server import main


def file_system_of(self):
    return self.efs_backend.file_systems_by_id[self._get_param("FileSystemId")]


def put_backup_policy(self):
    file_system_of(self)._backup = self._get_param("BackupPolicy")["Status"] == "ENABLED"
    return json.dumps({"BackupPolicy": self._get_param("BackupPolicy")})


def describe_backup_policy(self):
    return json.dumps({"BackupPolicy": {"Status": "ENABLED" if file_system_of(self)._backup else "DISABLED"}})


def delete_file_system_policy(self):
    file_system_of(self).file_system_policy = None
    return json.dumps({})


def create_service(self, plain=EC2ContainerServiceResponse.create_service):
    """It forgets these two."""
    result = plain(self)
    service = result._result["service"]
    service.enable_execute_command = bool(self._get_param("enableExecuteCommand"))
    service.availability_zone_rebalancing = self._get_param("availabilityZoneRebalancing") or "ENABLED"
    return result


# The ARNs that CloudFormation asks for.
FileSystem.get_cfn_attribute = lambda self, name: self.file_system_arn
AccessPoint.get_cfn_attribute = lambda self, name: self.access_point_arn
EFSResponse.put_backup_policy = put_backup_policy
EFSResponse.describe_backup_policy = describe_backup_policy
EFSResponse.delete_file_system_policy = delete_file_system_policy
EC2ContainerServiceResponse.create_service = create_service

if __name__ == "__main__":
    main(sys.argv[1:])
