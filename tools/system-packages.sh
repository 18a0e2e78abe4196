#!/bin/sh
# system-packages.sh [PACKAGE…]: install Debian packages that are missing, where that is allowed; say so where not.
# Without arguments: everything that the tests use. Never fails: what is missing is skipped by the tests, which say it.
set -u

# package:program, or package:/file for what is no program or off the path; the file may hold a *
wanted="git:git age:age openssh-client:ssh-keygen dcmtk:dcmqrscp orthanc:Orthanc dicom3tools:dciodvfy samba:smbd poppler-utils:pdftoppm \
unixodbc:isql libsqliteodbc:/usr/lib/*/odbc/libsqlite3odbc.so odbc-postgresql:/usr/lib/*/odbc/psqlodbcw.so \
postgresql:/usr/lib/postgresql/*/bin/initdb \
dovecot-imapd:/usr/lib/dovecot/imap dovecot-lmtpd:/usr/lib/dovecot/lmtp dovecot-submissiond:/usr/lib/dovecot/submission opensmtpd:smtpd chromium:chromium chromium-driver:chromedriver \
fonts-noto-core:/usr/share/fonts/truetype/noto/NotoSansDevanagari-Regular.ttf \
fonts-wqy-microhei:/usr/share/fonts/truetype/wqy/wqy-microhei.ttc"
PATH=$PATH:/usr/sbin:/sbin

have() {
    case $1 in
    /*)
        for file in $1; do
            [ -e "$file" ] && return 0
        done
        return 1
        ;;
    *) command -v "$1" >/dev/null 2>&1 ;;
    esac
}

missing=""
if [ $# -gt 0 ]; then
    for package in "$@"; do
        case " $wanted " in
        *" $package:"*) program=${wanted##*"$package":}; program=${program%% *} ;;
        *) program= ;;
        esac
        [ -n "$program" ] && have "$program" || missing="$missing $package"
    done
else
    for pair in $wanted; do
        have "${pair#*:}" || missing="$missing ${pair%:*}"
    done
fi
[ -n "$missing" ] || exit 0

as_root=""
if ! command -v apt-get >/dev/null 2>&1; then
    echo "Missing:$missing. This is no Debian or Ubuntu: install them by hand; tests that need them are skipped." >&2
    exit 0
elif [ "$(id -u)" -ne 0 ]; then
    if command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then
        as_root="sudo -n"
    else
        echo "Missing:$missing. What needs them is left out and said. Run as root: apt-get install$missing" >&2
        exit 0
    fi
fi

# Debian starts a server that it installs: Orthanc would listen on 4242 and 8042, PostgreSQL on
# 5432. policy-rc.d forbids it meanwhile.
policy=/usr/sbin/policy-rc.d
made_policy=""
if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' | $as_root tee "$policy" >/dev/null && $as_root chmod 755 "$policy" && made_policy=1
fi
trap '[ -z "$made_policy" ] || $as_root rm -f "$policy"' EXIT
trap 'exit 1' INT TERM

echo "Installing:$missing" >&2
install() {
    # shellcheck disable=SC2086  # words on purpose
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
        -o DPkg::Lock::Timeout=120 $missing </dev/null >/dev/null
}
if ! install 2>/dev/null; then
    $as_root apt-get update -qq </dev/null >/dev/null
    if ! install; then
        echo "Could not install:$missing. Tests that need them are skipped." >&2
        exit 0
    fi
fi
# The policy does not keep systemd from starting it at the next boot.
for pair in orthanc:orthanc postgresql:postgresql samba:smbd samba:nmbd dovecot-imapd:dovecot opensmtpd:opensmtpd; do
    service=${pair#*:}
    case $missing in
    *" ${pair%:*}"*) command -v systemctl >/dev/null 2>&1 && $as_root systemctl disable $service >/dev/null 2>&1 ;;
    esac
done
exit 0
