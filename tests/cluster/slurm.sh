#!/bin/sh
# A Slurm cluster of this machine alone, to test with: munged, slurmctld and some slurmd as processes of the user root,
# without systemd. Everything they write lies in one folder.
#
#   tests/cluster/slurm.sh up DIR [NODES] [CPUS]     DIR/env then has what to export: SLURM_CONF
#   tests/cluster/slurm.sh down DIR                  ends them, by their pid files in DIR
#
# SLURM_TEST_TIMEOUT: seconds without an answer after which a node counts as lost (10).
# Needs Debian's slurmctld, slurmd, slurm-client and munge. Ports: SLURM_TEST_PORT (default 17500) and those that follow.
set -eu

fail() {
  echo "slurm.sh: $1" >&2
  exit 1
}

# Ends the process of a pid file and waits until it is gone: its port must be free for the next.
end() {
  [ -s "$1" ] || return 0
  pid=$(cat "$1")
  kill "$pid" 2>/dev/null || return 0
  for _ in $(seq 50); do
    kill -0 "$pid" 2>/dev/null || return 0
    sleep 0.1
  done
  kill -9 "$pid" 2>/dev/null || true
}

configure() {
  host=$(hostname -s)
  cat <<CONF
ClusterName=fuseline
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=$port
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
# A requeued job begins again when the credential of its first attempt has expired: 120 s otherwise.
AuthInfo=socket=$dir/munge/socket,cred_expire=5
CredType=cred/munge
StateSaveLocation=$dir/state
SlurmdSpoolDir=$dir/spool/%n
SlurmctldPidFile=$dir/run/slurmctld.pid
SlurmdPidFile=$dir/run/slurmd-%n.pid
SlurmctldLogFile=$dir/log/slurmctld
SlurmdLogFile=$dir/log/slurmd-%n
# No control groups: there may be none to write to.
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
# What uses more memory than it asked for is ended, as control groups do it elsewhere.
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=1
JobAcctGatherParams=OverMemoryKill
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
# What a job gets that does not ask: enough for its processors, on a node that has them all in use.
DefMemPerCPU=900
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_interval=1,bf_interval=1,sched_min_interval=0
SlurmdParameters=config_overrides
MpiDefault=none
ReturnToService=2
SlurmdTimeout=${SLURM_TEST_TIMEOUT:-10}
InactiveLimit=0
KillWait=2
MinJobAge=300
MaxArraySize=10001
MaxJobCount=20000
JobRequeue=1
CONF
  for node in $(seq "$nodes"); do
    echo "NodeName=n$node NodeHostname=$host NodeAddr=127.0.0.1 Port=$((port + node))" \
      "CPUs=$cpus Sockets=1 CoresPerSocket=$cpus ThreadsPerCore=1 RealMemory=16000 State=UNKNOWN"
  done
  echo "PartitionName=main Nodes=n[1-$nodes] Default=YES MaxTime=INFINITE State=UP OverSubscribe=NO"
}

up() {
  nodes=${1:-2} cpus=${2:-16} port=${SLURM_TEST_PORT:-17500}
  for program in munged slurmctld slurmd sbatch squeue scancel sinfo; do
    command -v $program >/dev/null || fail "$program is not installed"
  done
  mkdir -p "$dir/state" "$dir/log" "$dir/run" "$dir/cgroup" "$dir/munge"
  chmod 755 "$dir"
  chmod 711 "$dir/munge"
  # A key and a socket of its own: a munged of the system is neither needed nor disturbed.
  [ -s "$dir/munge/key" ] || (umask 077 && head -c 128 /dev/urandom >"$dir/munge/key")
  munged --force --key-file="$dir/munge/key" --socket="$dir/munge/socket" \
    --pid-file="$dir/munge/pid" --log-file="$dir/munge/log" --seed-file="$dir/munge/seed"
  configure >"$dir/slurm.conf"
  # Version 22.05 knows no CgroupPlugin=disabled and ends without one; v1 touches nothing with linuxproc.
  printf 'CgroupPlugin=cgroup/v1\nCgroupMountpoint=%s/cgroup\n' "$dir" >"$dir/cgroup.conf"
  export SLURM_CONF="$dir/slurm.conf"
  echo "export SLURM_CONF=$SLURM_CONF" >"$dir/env"
  slurmctld -i -f "$SLURM_CONF"
  for node in $(seq "$nodes"); do
    mkdir -p "$dir/spool/n$node"
    slurmd -N "n$node" -f "$SLURM_CONF"
  done
  for _ in $(seq 200); do
    idle=$(sinfo -h -N -o '%N %T' 2>/dev/null | grep -c ' idle$' || true)
    [ "$idle" = "$nodes" ] && return 0
    sleep 0.1
  done
  tail -n 20 "$dir"/log/* >&2
  fail "the nodes did not come up"
}

down() {
  export SLURM_CONF="$dir/slurm.conf"
  scancel --user=root 2>/dev/null || true
  for file in "$dir"/run/slurmd-*.pid; do end "$file"; done
  end "$dir/run/slurmctld.pid"
  end "$dir/munge/pid"
}

[ $# -ge 2 ] || fail "expected: up DIR [NODES] [CPUS], or down DIR"
action=$1
mkdir -p "$2"
dir=$(cd "$2" && pwd)
shift 2
case $action in
  up) up "$@" ;;
  down) down ;;
  *) fail "there is no $action" ;;
esac
