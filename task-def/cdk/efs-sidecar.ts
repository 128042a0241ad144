// efs-sidecar in a CDK app: gate and sidecar around the containers of a service, as `efsctl taskdef add` puts them there.
//
//   const file = new efs.FileSystem(this, 'Files', { vpc, encrypted: true });
//   const uploads = file.addAccessPoint('Uploads', { path: '/uploads', posixUser: id, createAcl });
//   const task = new ecs.FargateTaskDefinition(this, 'Task', { cpu: 512, memoryLimitMiB: 1024 });
//   const app = task.addContainer('app', { image, logging });
//   addEfsSidecar(task, app, { image: sidecarImage, file, logging, cluster: cluster.clusterName, service: 'web',
//     mounts: [{ volume: 'uploads', path: '/uploads', point: uploads }] });
//   file.connections.allowDefaultPortFrom(service);
//
// The profile is coordinate. Alarms and dashboard: task-def/monitoring/ has them as JSON.
import { readFileSync } from 'node:fs';
import * as path from 'node:path';
import { Duration } from 'aws-cdk-lib';
import * as ecs from 'aws-cdk-lib/aws-ecs';
import * as efs from 'aws-cdk-lib/aws-efs';
import * as iam from 'aws-cdk-lib/aws-iam';

export interface EfsSidecarMount {
  volume: string;
  path: string;
  readOnly?: boolean;
  point: efs.IAccessPoint;
}

export interface EfsSidecarProps {
  image: ecs.ContainerImage;
  file: efs.IFileSystem;
  logging: ecs.LogDriver;
  cluster: string;
  service: string;
  mounts: EfsSidecarMount[];
}

const kit = JSON.parse(readFileSync(path.join(__dirname, '../template.json'), 'utf8'));

export function addEfsSidecar(task: ecs.TaskDefinition, app: ecs.ContainerDefinition, props: EfsSidecarProps): void {
  const id = props.file.fileSystemId;
  const profile = kit.profiles.coordinate;
  const variables = (rest: Record<string, string>) => ({
    EFS_SIDECAR_MOUNTS: props.mounts.map((m) => `${m.path}=${id}:${m.readOnly ? 'ro' : 'rw'}`).join(','),
    ...rest,
  });
  const container = (role: string, environment: Record<string, string>): ecs.ContainerDefinition => {
    const t = kit[role];
    const linuxParameters = new ecs.LinuxParameters(task, `${role}-linux`, { initProcessEnabled: t.linuxParameters.initProcessEnabled });
    linuxParameters.dropCapabilities(...t.linuxParameters.capabilities.drop);
    return task.addContainer(role, {
      image: props.image,
      command: t.command,
      essential: t.essential,
      user: t.user,
      cpu: t.cpu,
      memoryReservationMiB: t.memoryReservation,
      readonlyRootFilesystem: t.readonlyRootFilesystem,
      startTimeout: t.startTimeout && Duration.seconds(t.startTimeout),
      stopTimeout: t.stopTimeout && Duration.seconds(t.stopTimeout),
      enableRestartPolicy: t.restartPolicy?.enabled,
      restartAttemptPeriod: t.restartPolicy && Duration.seconds(t.restartPolicy.restartAttemptPeriod),
      healthCheck: t.healthCheck && {
        command: t.healthCheck.command,
        interval: Duration.seconds(t.healthCheck.interval),
        timeout: Duration.seconds(t.healthCheck.timeout),
        retries: t.healthCheck.retries,
        startPeriod: Duration.seconds(t.healthCheck.startPeriod),
      },
      linuxParameters,
      environment,
      logging: props.logging,
    });
  };

  const gate = container('efs-init', variables({
    EFS_SIDECAR_ACCESS_POINTS: props.mounts.map((m) => `${m.path}=${m.point.accessPointId}`).join(','),
    EFS_SIDECAR_INSTALL: kit.volumes.tools.containerPath,
  }));
  const sidecar = container('efs-sidecar', variables({
    EFS_SIDECAR_PROFILE: 'coordinate',
    EFS_SIDECAR_CLUSTER: props.cluster,
    EFS_SIDECAR_SERVICE: props.service,
    EFS_SIDECAR_STOP_TIMEOUT: `${kit['efs-sidecar'].stopTimeout}s`,
  }));
  sidecar.addContainerDependencies({ container: gate, condition: ecs.ContainerDependencyCondition.SUCCESS });
  app.addContainerDependencies(
    { container: gate, condition: ecs.ContainerDependencyCondition.SUCCESS },
    { container: sidecar, condition: ecs.ContainerDependencyCondition[profile.condition as 'HEALTHY'] },
  );

  const roles: [string, ecs.ContainerDefinition][] = [['efs-init', gate], ['efs-sidecar', sidecar], ['app', app]];
  for (const mount of props.mounts) {
    task.addVolume({
      name: mount.volume,
      efsVolumeConfiguration: {
        fileSystemId: id,
        transitEncryption: 'ENABLED',
        authorizationConfig: { accessPointId: mount.point.accessPointId, iam: 'ENABLED' },
      },
    });
    for (const [, one] of roles)
      one.addMountPoints({ sourceVolume: mount.volume, containerPath: mount.path, readOnly: mount.readOnly ?? false });
    task.taskRole.addToPrincipalPolicy(new iam.PolicyStatement({
      actions: ['elasticfilesystem:ClientMount', ...(mount.readOnly ? [] : ['elasticfilesystem:ClientWrite'])],
      resources: [props.file.fileSystemArn],
      conditions: { StringEquals: { 'elasticfilesystem:AccessPointArn': mount.point.accessPointArn } },
    }));
  }
  for (const volume of profile.volumes as string[]) {
    task.addVolume({ name: volume });
    for (const [role, one] of roles)
      if (kit.volumes[volume][role])
        one.addMountPoints({ sourceVolume: volume, containerPath: kit.volumes[volume].containerPath, readOnly: kit.volumes[volume][role] === 'ro' });
  }
}
