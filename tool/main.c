/*
 * The `fata` command: what there is to be called, and calling it.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/version.h"
#include "tool/commands.h"

#define COMMON_OPTIONS                                                         \
    "  -v, --verbose           show the commands that are run\n"               \
    "      --help              print this help and exit\n"

#define KEYS_TEXT                                                              \
    "Keys choose the structure of the unikernel before it is built. Each is\n" \
    "declared in config.c or by a device it uses; `fata describe --full'\n"    \
    "lists them. A yes-or-no key is given as --KEY, --KEY=false or "           \
    "--no-KEY.\n"

const struct command commands[] = {
    {
        .name = "new",
        .about = "make a project in a new folder",
        .run = command_new,
        .usage = "fata new NAME [--template hello|www]",
        .details =
            "Make a folder NAME with a unikernel that builds and runs: its\n"
            "config.c, its source, and for `www' a site to serve.\n"
            "\n"
            "NAME is made of a-z, 0-9 and dashes, starting with a letter.\n"
            "\n"
            "Options:\n"
            "      --template NAME     hello (usual): prints a greeting\n"
            "                          www: a web server\n"
            "      --help              print this help and exit\n"
            "\n"
            "Example:\n"
            "  fata new greeter && cd greeter && fata run\n",
    },
    {
        .name = "configure",
        .about = "turn config.c into code that starts the unikernel",
        .run = command_configure,
        .usage = "fata configure [-t TARGET] [--KEY=VALUE]...",
        .details =
            "Compile and run config.c for this machine, settle the keys, and\n"
            "write main.c, NAME.h, manifest.c, build.ninja and graph.json to\n"
            ".fata/TARGET. `fata build' does this by itself when it is "
            "needed;\n"
            "configure is for choosing a target and keys, which then hold\n"
            "until it is run again.\n"
            "\n" KEYS_TEXT "\n"
            "Options:\n"
            "  -t, --target TARGET     what to build for: spt (usual), unix,\n"
            "                          or another folder of "
            "platform/\n" COMMON_OPTIONS "\n"
            "A generated file whose marker line has been removed is not\n"
            "written again.\n",
    },
    {
        .name = "describe",
        .about = "show what the unikernel is made of",
        .run = command_describe,
        .usage = "fata describe [--dot|--svg|--json] [--full] [-t TARGET] "
                 "[--KEY=VALUE]...",
        .details =
            "Show the devices and the application, each with what it uses and\n"
            "the line of config.c that says so.\n"
            "\n" KEYS_TEXT "\n"
            "Options:\n"
            "      --full              before the keys are settled: every\n"
            "                          choice, and the keys with their values\n"
            "      --dot               as a graph for Graphviz\n"
            "      --svg               as a picture (needs Graphviz)\n"
            "      --json              everything, for programs\n"
            "  -t, --target TARGET     for this target\n" COMMON_OPTIONS,
    },
    {
        .name = "build",
        .about = "build the image: dist/NAME.TARGET",
        .run = command_build,
        .usage = "fata build [-t TARGET] [--json] [--KEY=VALUE]...",
        .details =
            "Configure if anything changed, compile what has to be compiled,\n"
            "link, check and strip the image, and print its size by library.\n"
            "The image with its symbols is .fata/TARGET/NAME.TARGET.debug.\n"
            "\n"
            "Options:\n"
            "  -t, --target TARGET     what to build for; usual: as before,\n"
            "                          at first spt\n"
            "  -q, --quiet             print nothing but errors\n"
            "      --json              print the sizes as "
            "JSON\n" COMMON_OPTIONS,
    },
    {
        .name = "run",
        .about = "build if needed, and run the unikernel",
        .run = command_run,
        .usage =
            "fata run [-t TARGET] [--net HOW]... [--publish HOST:GUEST]... "
            "[--] [ARGUMENT]...",
        .details =
            "Run the unikernel with its boot arguments. After `--', and from\n"
            "the first word that is no option, all words are the unikernel's;\n"
            "`fata run -- --help' lists what it takes. The exit status is the\n"
            "unikernel's.\n"
            "\n"
            "Options:\n"
            "      --net nat           user-mode networking for the device\n"
            "                          `service' (usual): no permission "
            "needed\n"
            "      --net tap:NAME      the tap interface NAME\n"
            "      --net packet:NAME   another Ethernet interface, such as "
            "one\n"
            "                          end of a veth (as root)\n"
            "      --net DEVICE=HOW    the same for another device: nat,\n"
            "                          tap:NAME, packet:NAME, or @FD for a\n"
            "                          descriptor\n"
            "      --net-offload [DEVICE=]HOW\n"
            "                          what is left to a tap or interface: on "
            "(usual),\n"
            "                          checksum, or off, and frames are as on "
            "a wire\n"
            "      --publish HOST:GUEST[/udp]\n"
            "                          pass the port HOST of this machine on "
            "to\n"
            "                          the unikernel's port GUEST (with nat)\n"
            "      --block DEVICE=FILE[,ro]\n"
            "                          attach a disk image, or only for "
            "reading\n"
            "      --mem MIB           memory of the unikernel in MiB\n"
            "      --machine MACHINE   QEMU's machine, for targets that it "
            "runs: microvm\n"
            "                          (usual), q35 or pc\n"
            "      --pcap FILE         capture all frames of its network "
            "devices, in\n"
            "                          both directions, to FILE (pcapng), for\n"
            "                          tcpdump and Wireshark; for a tap that "
            "takes\n"
            "                          the right to listen on it\n"
            "      --filter EXPRESSION capture only these, in the language of\n"
            "                          man pcap-filter: 'tcp port 80'\n"
            "      --instances N       N of it behind one address, each at a\n"
            "                          queue of the same tap; one that fails\n"
            "                          ends them all\n"
            "  -t, --target TARGET     which target\n" COMMON_OPTIONS "\n"
            "Examples:\n"
            "  fata run --publish 8080:80\n"
            "  fata run --net tap:tap0 -- --ipv4=10.0.0.2/24 --log=tcp:debug\n"
            "  fata run --pcap run.pcapng --filter 'not arp'\n",
        .words_follow = true,
    },
    {
        .name = "inspect",
        .about = "show what is in an image",
        .run = command_inspect,
        .usage = "fata inspect IMAGE [--json] [--query-abi|--query-manifest]",
        .details =
            "Show what an image is for: the interface it was built for (ABI)\n"
            "and its version, its devices, what it takes in the file and in\n"
            "memory, its entry point, its notes; the build id, which is the\n"
            "SHA-256 of the image, and the lock hash, that of its\n"
            "configuration. Images made for Solo5 by others are shown as "
            "well;\n"
            "a malformed one is refused, with the reason.\n"
            "\n"
            "Options:\n"
            "      --query-abi         print the ABI as solo5-elftool does\n"
            "      --query-manifest    print the devices as solo5-elftool "
            "does\n"
            "      --json              everything, for programs\n"
            "      --help              print this help and exit\n"
            "\n"
            "Example:\n"
            "  fata inspect dist/www.spt\n",
    },
    {
        .name = "pack",
        .about = "pack an image for containers, clusters and hypervisors",
        .run = command_pack,
        .usage = "fata pack -f FORMAT [-o FILE] [OPTION]... "
                 "[IMAGE [ARGUMENT]... | -- ARGUMENT...]",
        .details =
            "Write IMAGE, one for spt, hvt or virtio, as others take it, or\n"
            "else, as `fata run' does, the image of the project in this\n"
            "folder, built if need be. The words after it are the\n"
            "unikernel's boot arguments. The same image, options and\n"
            "arguments give the same bytes.\n"
            "\n"
            "Formats:\n"
            "  oci                     an OCI image-layout folder, or with "
            "-o FILE.tar\n"
            "                          a tar of it, for containerd, "
            "Kubernetes and\n"
            "                          Nomad with the runtime urunc\n"
            "  raw                     a bootable disk, for clouds, bhyve and "
            "every\n"
            "                          machine with a BIOS (virtio)\n"
            "  qcow2                   the same disk in QEMU's format "
            "(virtio)\n"
            "  libvirt                 the XML of a domain that boots IMAGE "
            "(virtio)\n"
            "  xl                      the configuration of a PVH guest of Xen "
            "(virtio)\n"
            "\n"
            "Options:\n"
            "  -f, --format FORMAT     one of those\n"
            "  -t, --target TARGET     the project's image for this target, "
            "not the\n"
            "                          one configured last\n"
            "  -o, --output FILE       usual: IMAGE.FORMAT, which is printed\n"
            "      --monitor NAME      oci: what urunc runs a virtio image "
            "with: qemu\n"
            "                          (usual) or firecracker\n"
            "      --type NAME         oci: as whose unikernel: mirage "
            "(usual), "
            "unikraft\n"
            "                          (usual for firecracker), or linux, "
            "which passes\n"
            "                          environment variables on\n"
            "      --tag NAME          oci: the image's tag (latest)\n"
            "      --container         oci: an ordinary container that any "
            "runtime\n"
            "                          starts, with our tender in it (spt, "
            "hvt)\n"
            "      --disk FILE         oci: put FILE inside, for the block "
            "device\n"
            "      --net DEVICE=HOW    container: the tap (tap0); libvirt, xl: "
            "the\n"
            "                          bridge to attach the network device "
            "to\n"
            "      --block DEVICE=FILE container, libvirt, xl: the disk of the "
            "block\n"
            "                          device\n"
            "      --mem MIB           memory for it (libvirt, xl: 64)\n"
            "      --help              print this help and exit\n"
            "\n"
            "Examples:\n"
            "  fata pack -f oci -o www.tar dist/www.spt --port=8080\n"
            "  fata pack -f oci --monitor firecracker dist/www.virtio\n"
            "  fata pack -f raw -t virtio -- --ipv4=10.0.0.2/24\n",
        .words_follow = true,
    },
    {
        .name = "ps",
        .about = "list the unikernels that run",
        .run = command_ps,
        .usage = "fata ps [--json]",
        .details =
            "List the unikernels that this user has started with `fata run':\n"
            "name, process id, target, resident memory, how long they have\n"
            "been running, devices, and addresses (- if there are none yet, ?\n"
            "if they cannot be known, as those of virtual machines in QEMU).\n"
            "\n"
            "Options:\n"
            "      --json              as JSON, with the uptime in seconds\n"
            "      --help              print this help and exit\n",
    },
    {
        .name = "stats",
        .about = "show the counters of a running unikernel",
        .run = command_stats,
        .usage = "fata stats [NAME|PID] [--json] [--watch [SECONDS]] "
                 "[GROUP]...",
        .details =
            "Show what a running unikernel has counted: frames, datagrams,\n"
            "segments and requests, and what was dropped, by reason. NAME or\n"
            "PID (see `fata ps') says which, if more than one runs. With\n"
            "GROUP, such as ip, tcp or http, only those groups.\n"
            "\n"
            "Nothing is sent to the unikernel, and it is not woken: it leaves\n"
            "its counters where they can be read, never older than a tenth of\n"
            "a second.\n"
            "\n"
            "Options:\n"
            "      --watch [SECONDS]   again every SECONDS (1 if left out), "
            "with\n"
            "                          the growth per second, until it ends\n"
            "      --json              as JSON; with --watch, a line each "
            "time\n"
            "      --help              print this help and exit\n"
            "\n"
            "Examples:\n"
            "  fata stats\n"
            "  fata stats www --watch 5 tcp http\n",
    },
    {
        .name = "connections",
        .about = "list the TCP connections of a running unikernel",
        .run = command_connections,
        .usage = "fata connections [NAME|PID] [--json]",
        .details =
            "List the listening ports and connections of a running unikernel\n"
            "(NAME or PID, if more than one runs): the state and both ends;\n"
            "bytes received that wait for the program to read them, written\n"
            "that wait to be sent, and sent that wait to be acknowledged; the\n"
            "congestion window in bytes; the round-trip time and the\n"
            "retransmission timeout; segments sent again; and the age.\n"
            "\n"
            "Options:\n"
            "      --json              as JSON, with times in seconds\n"
            "      --help              print this help and exit\n",
    },
    {
        .name = "audit",
        .about = "attack an address of your own test network, and report",
        .run = command_audit,
        .usage = "fata audit ADDRESS [--port N] [--case NAME]... [--json]",
        .details =
            "Run the attacks that broke other network stacks against ADDRESS:\n"
            "malformed packets, forged segments, floods. Print PASS, FAIL or\n"
            "INFO for each, with what was seen; exit with 1 if one failed.\n"
            "\n"
            "ADDRESS is loopback, link-local or private (10/8, 172.16/12,\n"
            "192.168/16, 127/8, 169.254/16, ::1, fe80::/10, fc00::/7); every\n"
            "other one is refused. It is on the link of an interface of this\n"
            "machine, and not this machine itself. Needs CAP_NET_RAW.\n"
            "\n"
            "Options:\n"
            "      --list              list the cases, and what they require\n"
            "      --case NAME         only this case; may be repeated\n"
            "      --json              report, or list, for programs\n"
            "      --port N            TCP port that serves HTTP (80)\n"
            "      --path PATH         page to be fetched (/)\n"
            "      --udp-port N        UDP port that nobody listens at (9)\n"
            "      --interface NAME    interface to use, if several could be\n"
            "      --source ADDRESS    unused address to speak from; may be\n"
            "                          given twice (usual: found by asking)\n"
            "      --seconds N         length of each flood (3; at most 60)\n"
            "      --rate N            frames per second of floods (50000; at\n"
            "                          most 1000000)\n"
            "      --connections N     slow clients (2000; at most 10000)\n"
            "      --seed N            repeat what chance did, as reported\n"
            "      --help              print this help and exit\n"
            "\n"
            "Example:\n"
            "  fata audit 10.0.0.2 --case synflood --seconds 10\n",
    },
    {
        .name = "clean",
        .about = "remove what was generated and built",
        .run = command_clean,
        .usage = "fata clean",
        .details = "Remove the folders .fata and dist of the project.\n"
                   "\n"
                   "Options:\n"
                   "      --help              print this help and exit\n",
    },
    {
        .name = "help",
        .about = "explain a command",
        .run = command_help,
        .usage = "fata help [COMMAND]",
        .details = "Print what a command does and its options; without one,\n"
                   "list the commands.\n",
    },
    {
        .name = "crunch",
        .about = "pack a folder",
        .run = command_crunch,
        .usage = "fata crunch FOLDER OUTPUT",
        .details =
            "Used by the generated build.ninja. Pack the files of FOLDER into\n"
            "OUTPUT in the format of crunch/crunch.h, if anything in it has\n"
            "changed since.\n",
        .internal = true,
    },
    {
        .name = "link-check",
        .about = "look for stray system calls",
        .run = command_link_check,
        .usage = "fata link-check MAP IMAGE",
        .details =
            "Used by the generated build.ninja. Fail if a system-call\n"
            "instruction in IMAGE comes from outside Fata's platform/. MAP is\n"
            "the linker's map of it.\n",
        .internal = true,
    },
    {
        .name = "stamp",
        .about = "write the build id and the lock hash",
        .run = command_stamp,
        .usage = "fata stamp IMAGE GRAPH",
        .details =
            "Used by the generated build.ninja. Write to the note of IMAGE\n"
            "about its build the SHA-256 of itself and that of the file "
            "GRAPH.\n",
        .internal = true,
    },
};

const size_t command_count = COUNT_OF(commands);

static void usage(void)
{
    printf("Usage: fata COMMAND [OPTION]...\n"
           "\n"
           "Build unikernels: a program in C, the libraries it needs and the\n"
           "thinnest platform, linked into one image.\n"
           "\n"
           "Commands:\n");
    for (size_t i = 0; i < command_count; i++)
        if (!commands[i].internal)
            printf("  %-13s%s\n", commands[i].name, commands[i].about);
    printf("\nOptions, before the command:\n"
           "  -C FOLDER   work in FOLDER\n"
           "  --help      print this help and exit\n"
           "  --version   print the version and exit\n"
           "\n"
           "`fata help COMMAND' explains one. A first unikernel:\n"
           "\n"
           "  fata new hello && cd hello && fata run\n");
}

int command_help(const struct command *command, const char *const *words)
{
    struct names operands = {0};
    read_options(command, words, NULL, 0, &operands, NULL);
    if (operands.count == 0) {
        usage();
        return 0;
    }
    struct names known = {0};
    for (size_t i = 0; i < command_count; i++) {
        names_add(&known, commands[i].name);
        if (strcmp(commands[i].name, operands.at[0]) == 0) {
            command_usage(&commands[i]);
            return 0;
        }
    }
    die_usage("there is no command \"%s\"%s", operands.at[0],
              suggestion(operands.at[0], &known));
}

/* What a script is to read is there in full, or the status says no. */
static void finish_output(void)
{
    if (fflush(stdout) != 0 || ferror(stdout) != 0) {
        (void)fprintf(stderr, "fata: what it prints cannot be written: %s\n",
                      strerror(errno));
        _exit(1);
    }
}

int main(int argc, char **argv)
{
    struct names words = {0};
    (void)atexit(finish_output);
    for (int i = 1; i < argc; i++)
        names_add(&words, argv[i]);
    size_t at = 0;
    while (at < words.count && strcmp(words.at[at], "-C") == 0) {
        if (at + 1 == words.count)
            die_usage("the option -C needs a folder");
        if (chdir(words.at[at + 1]) != 0)
            die("cannot go to %s: %s", words.at[at + 1], strerror(errno));
        at += 2;
    }
    if (at == words.count) {
        usage();
        return 64;
    }
    const char *name = words.at[at];
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0) {
        usage();
        return 0;
    }
    if (strcmp(name, "--version") == 0) {
        printf("fata %s\n", FATA_VERSION);
        return 0;
    }
    struct names known = {0};
    for (size_t i = 0; i < command_count; i++) {
        if (strcmp(commands[i].name, name) == 0) {
            int status = commands[i].run(&commands[i], words.at + at + 1);
            /* What a pipe's reader did not want to see is no failure. */
            if (fflush(stdout) != 0 && errno != EPIPE)
                die("standard output: %s", strerror(errno));
            return status;
        }
        if (!commands[i].internal)
            names_add(&known, commands[i].name);
    }
    die_usage("there is no command \"%s\"%s; `fata help' lists them", name,
              suggestion(name, &known));
}
