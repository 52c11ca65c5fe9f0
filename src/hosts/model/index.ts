// The public entry `trapline/model`: our kernel on the simulated machine.
export { KernelError } from '../../base/kernel-error.ts';
export { kernelBreakpointAttr, type WideBreakpoint } from '../../kernel/core/breakpoint-core.ts';
export { SampleClient } from '../../kernel/core/sample-client.ts';
export type { AccessTrace } from '../../machines/sim/access-trace.ts';
export { LackeyTraceParser, parseLackeyTrace, TraceSyntaxError } from '../../machines/sim/lackey-trace.ts';
export { type Operation, operationList, type Program, replayProgram } from '../../machines/sim/operation.ts';
export { SimMachine } from '../../machines/sim/sim-machine.ts';
export { SimTask } from '../../machines/sim/sim-task.ts';
export { type SampleLayout, sampleTypeOf } from '../../ring/sample-layout.ts';
export { parseScenarios, ScenarioSyntaxError } from '../../scenario/parser.ts';
export { renderReport, reportObjects } from '../../scenario/report.ts';
export { runScenarioFiles } from '../../scenario/run.ts';
export { ModelHost, type ModelHostOptions } from './model-host.ts';
export { ModelLab, ModelLabMaker } from './model-lab.ts';
export { ModelScenario, type ModelScenarioOptions, type ScenarioTask } from './model-scenario.ts';
export { ModelSurface } from './model-surface.ts';
