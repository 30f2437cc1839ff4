#!/usr/bin/env escript
%% What becomes of a process in each case of tests/links.rs: one line each, `Case reason fate fate-when-trapping`.

main(_) ->
    logger:set_primary_config(level, none),
    [io:format("~s ~s ~s ~s~n", [Case, R, play(Case, R, false), play(Case, R, true)])
     || {Case, Reasons} <- cases(), R <- Reasons].

cases() ->
    Bodies = [normal, shutdown, oops, killed],
    [{'LinkReturns', Bodies}, {'LinkSignalled', [normal, shutdown, oops]}, {'LinkKilled', [killed]},
     {'Signalled', Bodies}, {'SignalsItself', Bodies}, {'LinksToTheDead', [normal]},
     {'SignalsTheDead', [oops, killed]}, {'Unlinked', [normal, oops, killed]}].

play(Case, R, Traps) ->
    Me = self(),
    Other = spawn(fun() -> receive {ends, Reason} -> exit(Reason) end end),
    {It, Monitor} = spawn_monitor(fun() -> process_flag(trap_exit, Traps), it(Me) end),
    does(It, fun() -> Case =:= 'LinksToTheDead' orelse Case =:= 'SignalsTheDead' orelse link_if(Case, Other) end),
    act(Case, R, It, Other),
    Fate = fate(It, Other, Monitor),
    exit(It, kill),
    exit(Other, kill),
    Fate.

link_if(Case, Other) ->
    lists:member(Case, ['LinkReturns', 'LinkSignalled', 'LinkKilled', 'Unlinked']) andalso link(Other).

act('LinkReturns', R, _, Other) -> ends(Other, R);
act('LinkSignalled', R, _, Other) -> exit(Other, R);
act('LinkKilled', _, _, Other) -> exit(Other, kill);
act('Signalled', R, It, _) -> exit(It, signal(R));
act('SignalsItself', R, It, _) -> does(It, fun() -> exit(self(), signal(R)) end);
act('LinksToTheDead', R, It, Other) -> ends(Other, R), does(It, fun() -> link(Other) end);
act('SignalsTheDead', R, It, Other) -> ends(Other, normal), does(It, fun() -> exit(Other, signal(R)) end);
act('Unlinked', R, It, Other) -> does(It, fun() -> unlink(Other) end), ends(Other, R).

%% `killed` stands for the signal that cannot be trapped.
signal(killed) -> kill;
signal(R) -> R.

ends(Pid, R) ->
    M = monitor(process, Pid),
    Pid ! {ends, R},
    receive {'DOWN', M, _, _, _} -> ok end.

it(Me) ->
    receive
        {does, Ref, F} -> F(), Me ! {done, Ref}, it(Me);
        {'EXIT', From, R} -> Me ! {told, From, R}, it(Me)
    end.

%% Done, or ended over it.
does(It, F) ->
    {Ref, M} = {make_ref(), monitor(process, It)},
    It ! {does, Ref, F},
    receive {done, Ref} -> demonitor(M, [flush]); {'DOWN', M, _, _, _} -> ok end.

fate(It, Other, Monitor) ->
    receive
        {'DOWN', Monitor, _, _, {R, Stack}} when is_list(Stack) -> ends(R);
        {'DOWN', Monitor, _, _, R} -> ends(R);
        {told, Other, R} -> told(linked, R);
        {told, It, R} -> told(itself, R);
        {told, _, R} -> told(sender, R)
    after 100 -> alive
    end.

ends(R) -> io_lib:format("ends:~s", [R]).
told(Who, R) -> io_lib:format("told:~s:~s", [Who, R]).
