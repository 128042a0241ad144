#!/bin/sh
# Tries all of efs-sidecar in an AWS account: a file system, two services, alarms, a dashboard. Needs aws and docker.
#
#   task-def/cloudformation/try.sh up            builds the image, pushes it to the account's ECR, makes the stack: 10 minutes
#   task-def/cloudformation/try.sh break CASE    write (no ClientWrite), owner (files belong to others), network (no way to the file system)
#   task-def/cloudformation/try.sh break nothing heals it
#   task-def/cloudformation/try.sh down          removes the stack, the image and the bucket
#
# STACK (efs-sidecar-try), VPC (the default one) and YES=1 (do not ask) are variables; region and credentials are those of aws.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
stack=${STACK:-efs-sidecar-try}

say() { printf 'try.sh: %s\n' "$*"; }
fail() { printf 'try.sh: %s\n' "$*" >&2; exit 1; }

usage() {
    sed -n '4,7s/^#   //p' "$0" >&2
    exit 64
}

agree() {
    say "$1"
    [ -z "${YES:-}" ] || return 0
    printf 'Type yes to go on: '
    read -r answer
    [ "$answer" = yes ] || fail "nothing was done"
}

# account, region, repository, bucket
where() {
    account=$(aws sts get-caller-identity --query Account --output text) || fail "aws has no credentials that work"
    region=${AWS_REGION:-${AWS_DEFAULT_REGION:-$(aws configure get region || :)}}
    [ -n "$region" ] || fail "no region: set AWS_REGION"
    bucket=$stack-$account-$region
}

# Two subnets of the VPC, in different zones.
network() {
    vpc=${VPC:-$(aws ec2 describe-vpcs --filters Name=is-default,Values=true --query 'Vpcs[0].VpcId' --output text)}
    [ "$vpc" != None ] || fail "region $region has no default VPC: set VPC to one whose subnets are public"
    subnets=$(aws ec2 describe-subnets --filters "Name=vpc-id,Values=$vpc" --query 'Subnets[].[AvailabilityZone,SubnetId]' --output text |
        sort -u -k 1,1 | awk '{ print $2 }' | head -n 2 | xargs)
    case "$subnets" in
    *' '*) ;;
    *) fail "VPC $vpc has no subnets in two zones" ;;
    esac
}

image() {
    version=$(sed -n 's/^VERSION := //p' "$here/../../Makefile")
    repository=$(aws ecr describe-repositories --repository-names "$stack" --query 'repositories[0].repositoryUri' --output text 2>/dev/null ||
        aws ecr create-repository --repository-name "$stack" --query repository.repositoryUri --output text)
    image=$repository:$version
    say "building and pushing $image"
    docker build -q --platform linux/amd64 -t "$image" "$here/../.."
    aws ecr get-login-password | docker login --username AWS --password-stdin "${repository%%/*}"
    docker push -q "$image"
}

# NAME=VALUE...; what is not named stays as it is.
deploy() {
    aws cloudformation deploy --stack-name "$stack" --template-file "$here/stack.yaml" --s3-bucket "$bucket" --capabilities CAPABILITY_IAM \
        --no-fail-on-empty-changeset --parameter-overrides "$@" ||
        fail "the stack was not made; why: aws cloudformation describe-stack-events --stack-name $stack"
}

up() {
    where
    agree "this costs about 2.60 USD a day in account $account, region $region, until 'try.sh down' (list prices: five Fargate tasks 1.48, \
their public addresses 0.60, alarms, metrics and dashboard 0.45, storage and logs some cents)"
    network
    image
    aws s3api head-bucket --bucket "$bucket" 2>/dev/null || aws s3 mb "s3://$bucket" # the template is too large to be sent
    # shellcheck disable=SC2086 # two words
    set -- $subnets
    deploy "Image=$image" "VpcId=$vpc" "SubnetA=$1" "SubnetB=$2" Break=nothing
    say "there it is:"
    aws cloudformation describe-stacks --stack-name "$stack" --query 'Stacks[0].Outputs[].OutputValue' --output text | tr '\t' '\n'
}

# What the last task that stopped says of itself.
why() {
    task=$(aws ecs list-tasks --cluster "$stack" --service-name web --desired-status STOPPED --query 'taskArns[0]' --output text)
    [ "$task" != None ] || { say "no task of web has stopped yet; ask again in a minute: $0 why"; return; }
    aws ecs describe-tasks --cluster "$stack" --tasks "$task" --query 'tasks[0].[stoppedReason,containers[?exitCode].[name,exitCode,reason]]'
    aws logs tail "/ecs/$stack-web" --since 10m --filter-pattern '"NOT READY"' | tail -n 1
}

break_it() {
    where
    deploy "Break=$1"
    # Running tasks feel nothing of it.
    aws ecs update-service --cluster "$stack" --service web --force-new-deployment --query service.status --output text
    [ "$1" = nothing ] || say "the next tasks of web do not start; in two minutes '$0 why' says why, and the alarm web-gate-failed fires"
}

down() {
    where
    agree "this removes stack $stack in account $account, region $region, with the file system and all that is in it"
    aws cloudformation delete-stack --stack-name "$stack"
    aws cloudformation wait stack-delete-complete --stack-name "$stack"
    aws ecr delete-repository --repository-name "$stack" --force >/dev/null 2>&1 || :
    aws s3 rb --force "s3://$bucket" >/dev/null 2>&1 || :
    say "gone"
}

case "${1:-} ${2:-}" in
"up ") up ;;
"break write" | "break owner" | "break network" | "break nothing") break_it "$2" ;;
"why ") why ;;
"down ") down ;;
*) usage ;;
esac
