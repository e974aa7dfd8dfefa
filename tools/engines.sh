#!/bin/sh
# Put the real engines into the cache (MCISD_ENGINES_DIR, else ~/.cache/mcisd/engines): Kafka from Maven Central, InfluxDB
# built from its source (Go and Rust); PostgreSQL is looked for on the system. What is there already is not made again.
# Every file of Kafka is checked against tools/engines/kafka/jars.sha256, every Go module against .../influxdb/go.sum.
set -eu
here=$(cd "$(dirname "$0")/engines" && pwd)
cache=${MCISD_ENGINES_DIR:-$HOME/.cache/mcisd/engines}
KAFKA=4.1.0
INFLUXDB=2.7.12
JARS=46
work=
trap '[ -z "$work" ] || rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

say() { printf 'engines: %s\n' "$*"; }

fail() { # message, remedy
    printf 'engines: %s. Remedy: %s\n' "$1" "$2" >&2
    exit 1
}

need() { # program, what for, Debian package
    command -v "$1" >/dev/null || fail "$1 is missing, which $2 needs" "apt-get install $3 (Debian, Ubuntu)"
}

# Run a long command with its output in a log, and say each half minute that it goes on. Arguments: log, what, command…
patiently() {
    log=$1 what=$2
    shift 2
    "$@" >"$log" 2>&1 &
    child=$!
    seconds=0
    while kill -0 "$child" 2>/dev/null; do
        sleep 1
        seconds=$((seconds + 1))
        [ $((seconds % 30)) -ne 0 ] || say "$what: ${seconds} s so far"
    done
    wait "$child" && return
    kept=$cache/failed/$(basename "$log")
    mkdir -p "$cache/failed" && cp "$log" "$kept"
    tail -n 15 "$log" >&2
    fail "$what failed; the lines above are the end of $kept" "mend what they name, then run make engines again"
}

begin() { # a fresh work folder beside the cache, so that the result can be moved into its place in one step
    mkdir -p "$cache"
    work=$(mktemp -d "$cache/work.XXXXXX")
}

finish() { # folder that is complete, its place
    touch "$1/.complete"
    rm -rf "$2"
    mv "$1" "$2"
    rm -rf "$work"
    work=
}

kafka() {
    place=$cache/kafka-$KAFKA
    need java Kafka default-jre-headless
    if [ -e "$place/.complete" ]; then
        say "Kafka $KAFKA is there"
        return
    fi
    need mvn "the fetching of Kafka" maven
    begin
    say "fetching Kafka $KAFKA from Maven Central, 45 MB"
    patiently "$work/kafka.log" "fetching Kafka" mvn -B -f "$here/kafka/pom.xml" dependency:copy-dependencies \
        -DincludeScope=runtime -DoutputDirectory="$work/jars"
    (cd "$work/jars" && sha256sum --quiet --strict -c "$here/kafka/jars.sha256") >&2 ||
        fail "the files named above are not those of tools/engines/kafka/jars.sha256" "remove ~/.m2/repository and try again"
    [ "$(find "$work/jars" -name '*.jar' | wc -l)" -eq $JARS ] ||
        fail "Maven brought other files than tools/engines/kafka/jars.sha256 lists" "try again with an empty ~/.m2/repository"
    finish "$work/jars" "$place"
    say "Kafka $KAFKA is ready in $place"
}

influxdb() {
    place=$cache/influxdb-$INFLUXDB
    if [ -e "$place/.complete" ]; then
        say "InfluxDB $INFLUXDB is there"
        return
    fi
    need go "the building of InfluxDB" golang
    need cargo "the building of InfluxDB" rustup
    need cc "the building of InfluxDB" build-essential
    need git "the building of InfluxDB" git
    begin
    say "building InfluxDB $INFLUXDB from source (Go and Rust): about four minutes"
    cp "$here/influxdb/go.mod" "$here/influxdb/go.sum" "$work/"
    cp "$here/influxdb/tools.go.txt" "$work/tools.go"
    # Flux denies the warnings of the Rust compiler of its time; a newer compiler has new ones.
    printf '#!/bin/sh\nexec "$@" --cap-lints=warn\n' >"$work/rustc-wrap"
    chmod +x "$work/rustc-wrap"
    mkdir "$work/tools" "$work/out"
    cd "$work"
    # Built a fifth faster: nothing for debuggers, no link-time optimization of Flux's compiler, which runs once a query.
    patiently "$work/go-tools.log" "building the tool that builds Flux" \
        env GOFLAGS=-mod=mod GOBIN="$work/tools" go install github.com/influxdata/pkg-config
    patiently "$work/influxdb.log" "building InfluxDB" \
        env RUSTUP_TOOLCHAIN=stable RUSTC_WRAPPER="$work/rustc-wrap" PATH="$work/tools:$PATH" CGO_ENABLED=1 \
        CARGO_PROFILE_RELEASE_LTO=off go build -mod=readonly -gcflags=all=-dwarf=false -ldflags=-w \
        -tags sqlite_foreign_keys,sqlite_json,noasset -o "$work/out/influxd" \
        github.com/influxdata/influxdb/v2/cmd/influxd
    "$work/out/influxd" version >/dev/null || fail "the influxd that was built does not run" "look at $work"
    cd "$here"
    finish "$work/out" "$place"
    say "InfluxDB $INFLUXDB is ready in $place"
}

postgresql() {
    for program in /usr/lib/postgresql/*/bin/initdb; do
        [ -x "$program" ] && say "PostgreSQL is there ($(dirname "$program"))" && return
    done
    fail "PostgreSQL is missing" "apt-get install postgresql (Debian, Ubuntu; its service need not run)"
}

need setpriv "the starting of engines" util-linux
need flock "one run of this at a time" util-linux
mkdir -p "$cache"
exec 9>"$cache/.lock"
flock -n 9 || { say "another run of this is at work; waiting for it" && flock 9; }
postgresql
kafka
influxdb
