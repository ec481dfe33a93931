# Targets for projects that like to type `make`. In a Makefile beside pawl.yaml (GNU make 3.82 or newer):
#
#   include /usr/share/pawl/pawl.mk
#
#   make migrate-create message="Add a price"     writes a revision and prints its path (step=KIND, head=R)
#   make migrate-up                               applies up to the head, or to revision=R
#   make migrate-down                             takes the last revision back
#   make migrate-down-to revision=R               takes back all that follows R; R itself stays
#   make migrate-status                           where the database is
#   make migrate-show revision=R                  one revision (default: the head)
#   make backup-db                                a dump of the database (file=PATH)
#   make verify-setup                             can this role on this server do the work
#   make pre-deploy-check                         may this be deployed; to be run before migrate-up
#   make seed-demo                                applies with -x demo=true, for revisions with demo data
#   make db-reset                                 takes everything back and applies it again; asks first (yes=1: does not)
#
# env=NAME chooses a section of pawl.yaml, as --env does. PAWL names the program, PAWLFLAGS holds more global flags.
#
# What is given reaches the recipes through the environment and not through the text of a command, so that a message may
# hold quotes and dollar signs ($$ for make itself).

PAWL ?= pawl
PAWLFLAGS ?=

export message revision step head file
ifneq ($(env),)
export PAWL_ENV := $(env)
endif

.PHONY: migrate-create migrate-up migrate-down migrate-down-to migrate-status migrate-show backup-db verify-setup \
	pre-deploy-check seed-demo db-reset

migrate-create:
	@: "$${message:?say what it changes: make migrate-create message=\"Add a price\"}"
	@$(PAWL) $(PAWLFLAGS) revision --message="$$message" $${step:+--step="$$step"} $${head:+--head="$$head"}

migrate-up:
	$(PAWL) $(PAWLFLAGS) upgrade $${revision:+"$$revision"}

migrate-down:
	$(PAWL) $(PAWLFLAGS) downgrade -1

migrate-down-to:
	@: "$${revision:?say where to: make migrate-down-to revision=R}"
	$(PAWL) $(PAWLFLAGS) downgrade "$$revision"

migrate-status:
	@$(PAWL) $(PAWLFLAGS) status

migrate-show:
	@$(PAWL) $(PAWLFLAGS) show "$${revision:-head}"

backup-db:
	$(PAWL) $(PAWLFLAGS) backup $${file:+"$$file"}

verify-setup:
	@$(PAWL) $(PAWLFLAGS) doctor

pre-deploy-check:
	@$(PAWL) $(PAWLFLAGS) check --pending-ok

seed-demo:
	$(PAWL) $(PAWLFLAGS) -x demo=true upgrade

db-reset:
	@$(if $(yes),:,printf 'Everything in the database that the revisions made will be lost, data too. Type yes: ' && \
	    read -r answer && test "$$answer" = yes || { echo 'db-reset: nothing was done' >&2; exit 1; })
	$(PAWL) $(PAWLFLAGS) downgrade base
	$(PAWL) $(PAWLFLAGS) upgrade
