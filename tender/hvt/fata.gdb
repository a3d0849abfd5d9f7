# For gdb: what a debugger does not know of unikernels.
#
#     gdb -x tender/hvt/fata.gdb .fata/hvt/NAME.hvt.debug
#     (gdb) target remote 127.0.0.1:1234
#     (gdb) fata-fibers            lists them, with where each waits

python
import gdb

STATES = ["free", "ready", "running", "waiting", "sleeping"]


class Fibers(gdb.Command):
    """List the fibers of a unikernel, and where those that wait do so.

    fata-fibers [LOOP]: LOOP is a pointer to the struct loop; usually the
    loop of any fiber that is found in a frame of the current stack."""

    def __init__(self):
        super().__init__("fata-fibers", gdb.COMMAND_STACK)

    def loop(self, argument):
        if argument:
            return gdb.parse_and_eval(argument)
        frame = gdb.newest_frame()
        while frame is not None:
            for name in ("loop", "env", "fiber", "instance"):
                try:
                    value = frame.read_var(name)
                    if name == "loop":
                        return value
                    if name == "instance":
                        return value["loop"].address
                    return value["loop"]
                except (ValueError, gdb.error):
                    pass
            frame = frame.older()
        raise gdb.GdbError("no loop is in sight: give one, as in "
                           "`fata-fibers env->loop'")

    def where(self, fiber):
        """The innermost call on its stack that is not of fibers' own."""
        word = gdb.lookup_type("unsigned long")
        stack = fiber["stack_pointer"].cast(word.pointer())
        for i in range(2, 100):
            address = int(stack[i])
            line = gdb.find_pc_line(address - 1)
            if line.symtab is None or "base/fiber" in line.symtab.filename:
                continue
            call = gdb.parse_and_eval("*(unsigned char *)%d" % (address - 5))
            if int(call) == 0xe8:
                return "at %s:%d" % (line.symtab.filename, line.line)
        return ""

    def invoke(self, argument, from_tty):
        loop = self.loop(argument)
        current = int(loop["current"])
        for i in range(int(loop["fiber_fresh"])):
            fiber = loop["fibers"][i]
            state = int(fiber["state"])
            if STATES[state] == "free":
                continue
            where = ""
            if int(fiber.address) != current and int(fiber["stack_pointer"]):
                where = self.where(fiber)
            gdb.write("%c %-3d %-9s %-16s %s\n" % (
                "*" if int(fiber.address) == current else " ", i,
                STATES[state], fiber["name"].string(), where))


Fibers()
end
