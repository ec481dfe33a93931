#include "cli/session.h"

int
main(int argc, char **argv)
{
    return pawl_cli_main(argc, argv);
}
