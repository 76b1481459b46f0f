#!/bin/sh
# A scheduler of a few lines, to test `--executor command` with: every task runs at once, in the background.
#
#   queue.sh submit DIR FIRST LAST SCRIPT    prints `submitted array ID`
#   queue.sh poll DIR ID                     prints `ID running`, or ends with exit code 1 when the array is over
#   queue.sh cancel DIR ID
set -eu
action=$1 dir=$2
case $action in
  submit)
    id=$(mktemp -d "$dir/array-XXXXXX")
    export dir id first="$3" last="$4" script="$5"
    setsid sh -c '
      echo $$ >"$id/pid"
      for task in $(seq "$first" "$last"); do QUEUE_TASK=$task sh "$script" & done
      wait
      rm "$id/pid"' </dev/null >"$id/output" 2>&1 &
    # The array is there before anybody asks for it.
    until [ -e "$id/output" ] && { [ -e "$id/pid" ] || ! kill -0 $! 2>/dev/null; }; do sleep 0.01; done
    echo "submitted array ${id##*/}"
    ;;
  poll)
    [ -e "$dir/$3/pid" ] || exit 1
    echo "$3 running"
    ;;
  cancel)
    pid=$(cat "$dir/$3/pid" 2>/dev/null) || exit 0
    kill -- "-$pid"
    rm -f "$dir/$3/pid"
    ;;
esac
